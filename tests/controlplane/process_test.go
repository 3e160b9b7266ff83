package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// The test binary plays the program itself, and a parent that starts it: a
// second binary of this size need not be linked.
const (
	roleVariable = "CONTROLPLANE_TEST_ROLE"
	roleProgram  = "program"
	roleParent   = "parent"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case roleProgram:
		main()
	case roleParent:
		beParent()
	default:
		os.Exit(m.Run())
	}
}

// beParent starts the program with this process's own arguments and output,
// and waits to be killed.
func beParent() {
	child := programCommand(os.Args[1:]...)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = child.Wait()
}

func programCommand(args ...string) *exec.Cmd { return roleCommand(roleProgram, args...) }

func roleCommand(role string, args ...string) *exec.Cmd {
	command := exec.Command(os.Args[0], args...)
	command.Env = append(os.Environ(), roleVariable+"="+role)
	return command
}

// ceiling is how long any wait of these tests may take on a busy machine.
const ceiling = 90 * time.Second

// plane is a control plane that runs as a process of its own.
type plane struct {
	dir        string
	process    *exec.Cmd
	stdin      io.Closer
	kubeconfig string
	server     string
	exited     chan error
}

var readyLine = regexp.MustCompile(`^ready kubeconfig=(\S+) server=(https://127\.0\.0\.1:\d+) version=(v\S+)\n$`)

// startPlane starts a control plane in dir and waits until it is ready.
func startPlane(t *testing.T, dir string, args ...string) *plane {
	t.Helper()
	return startProcess(t, dir, programCommand(append([]string{"--dir", dir}, args...)...))
}

func startProcess(t *testing.T, dir string, process *exec.Cmd) *plane {
	t.Helper()
	stdin, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	process.Stderr = stderr
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	p := &plane{dir: dir, process: process, stdin: stdin, exited: make(chan error, 1)}
	t.Cleanup(func() { p.killAll(t) })

	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		lines <- line
		p.exited <- process.Wait()
	}()
	select {
	case line := <-lines:
		match := readyLine.FindStringSubmatch(line)
		if match == nil {
			said, _ := os.ReadFile(stderr.Name())
			t.Fatalf("no ready line but %q\n%s", line, said)
		}
		p.kubeconfig, p.server = match[1], match[2]
	case <-time.After(ceiling):
		t.Fatalf("not ready after %s", ceiling)
	}
	return p
}

// killAll ends what a failed test may have left.
func (p *plane) killAll(t *testing.T) {
	_ = p.process.Process.Kill()
	for {
		left := processesWith(t, p.dir)
		if len(left) == 0 {
			return
		}
		for pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(pollInterval)
	}
}

func (p *plane) config(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func (p *plane) client(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(p.config(t))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (p *plane) port() string { return p.server[strings.LastIndex(p.server, ":")+1:] }

// waitUntilGone fails when a process that works in the plane's directory stays.
func (p *plane) waitUntilGone(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		if left := processesWith(t, p.dir); len(left) > 0 {
			return fmt.Errorf("still running: %v", left)
		}
		return nil
	})
}

// processesWith lists the processes that have the text in their arguments.
func processesWith(t *testing.T, text string) map[int]string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatal("this test finds processes in Linux's /proc, which is not here")
	}
	found := map[int]string{}
	for _, file := range files {
		arguments, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(arguments, []byte(text)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && pid != os.Getpid() {
			found[pid] = string(bytes.ReplaceAll(arguments[:min(len(arguments), 120)], []byte{0}, []byte{' '}))
		}
	}
	return found
}

// eventually repeats the check until it returns nil.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), ceiling)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("after %s: %v", ceiling, err)
		case <-time.After(pollInterval):
		}
	}
}
