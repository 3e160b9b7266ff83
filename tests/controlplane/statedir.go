package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// stateDirectory holds everything that one control plane writes.
type stateDirectory struct {
	root      string
	temporary bool
	lock      *os.File
}

// openStateDirectory creates the directory where needed, a temporary one when
// path is empty, and takes its lock: two control planes never share one.
func openStateDirectory(path string) (*stateDirectory, error) {
	if path == "" {
		root, err := os.MkdirTemp("", "controlplane-")
		if err != nil {
			return nil, fmt.Errorf("create a temporary directory: %w", err)
		}
		return lockStateDirectory(&stateDirectory{root: root, temporary: true})
	}
	root, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("--dir=%s: %w", path, err)
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("--dir=%s: %w", path, err)
	}
	return lockStateDirectory(&stateDirectory{root: root})
}

func lockStateDirectory(d *stateDirectory) (*stateDirectory, error) {
	lock, err := os.OpenFile(d.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the state directory: %w", err)
	}
	// The kernel releases the lock when this process ends, in whatever way.
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		lock.Close()
		return nil, fmt.Errorf("another control plane runs in %s: stop it, or choose another --dir", d.root)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	d.lock = lock
	return d, nil
}

func (d *stateDirectory) path(name string) string { return filepath.Join(d.root, name) }

// createLog opens a component's log, emptied.
func (d *stateDirectory) createLog(name string) (*os.File, error) {
	file, err := os.OpenFile(d.path(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create a log: %w", err)
	}
	return file, nil
}

// close releases the directory; a temporary one is removed with all it holds.
func (d *stateDirectory) close() {
	if d.temporary {
		if err := os.RemoveAll(d.root); err != nil {
			fmt.Fprintf(os.Stderr, "controlplane: remove the temporary directory: %v\n", err)
		}
	}
	d.lock.Close()
}
