package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNothingIsLeftRunning(t *testing.T) {
	ways := map[string]struct {
		flags []string
		stop  func(*testing.T, *plane)
	}{
		"after SIGTERM": {stop: func(t *testing.T, p *plane) { send(t, p, syscall.SIGTERM) }},
		"after Ctrl-C":  {stop: func(t *testing.T, p *plane) { send(t, p, syscall.SIGINT) }},
		"after the end of standard input": {
			flags: []string{"--exit-with-stdin"},
			stop:  func(_ *testing.T, p *plane) { p.stdin.Close() },
		},
		"after kill -9": {stop: func(t *testing.T, p *plane) { send(t, p, syscall.SIGKILL) }},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPlane(t, t.TempDir(), way.flags...)
			if running := processesWith(t, p.dir); len(running) < 2 {
				t.Fatalf("the search for processes finds only %v", running)
			}
			way.stop(t, p)
			p.waitUntilGone(t)
		})
	}
}

func TestNothingIsLeftRunningAfterTheParentWasKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, dir, roleCommand(roleParent, "--dir", dir))
	send(t, p, syscall.SIGKILL)
	p.waitUntilGone(t)
}

func TestAPlaneThatMayOutliveItsParentDoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, dir, roleCommand(roleParent, "--dir", dir, "--outlive-parent"))
	send(t, p, syscall.SIGKILL)
	// This takes some seconds, many times what it takes to notice the parent's end.
	deleteNamespaceWithContent(t, p.client(t))
}

func send(t *testing.T, p *plane, signal syscall.Signal) {
	t.Helper()
	if err := p.process.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

func TestAStopOnRequestIsASuccess(t *testing.T) {
	t.Parallel()
	p := startPlane(t, t.TempDir())
	send(t, p, syscall.SIGTERM)
	select {
	case err := <-p.exited:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(ceiling):
		t.Error("still running")
	}
}

func TestATemporaryDirectoryIsRemovedAtTheEnd(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	p := startProcess(t, os.Getenv("TMPDIR"), programCommand())
	dir := filepath.Dir(p.kubeconfig)
	send(t, p, syscall.SIGTERM)
	<-p.exited
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

func TestTheSameDirectoryAndPortContinueTheSameCluster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startPlane(t, dir)
	client := first.client(t)
	_, err := client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Not an orderly end: what was acknowledged must be there nevertheless.
	send(t, first, syscall.SIGKILL)
	first.waitUntilGone(t)

	startPlane(t, dir, "--port", first.port())
	// The client still has the server, CA and token of the first start.
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestTwoPlanesRunAtOnceButNotInOneDirectoryNorOnOnePort(t *testing.T) {
	t.Parallel()
	first := startPlane(t, t.TempDir())
	second := startPlane(t, t.TempDir())
	if first.server == second.server {
		t.Errorf("both are %s", first.server)
	}
	for _, refusal := range []struct{ message, flag string }{
		{"another control plane runs in " + first.dir, "--dir=" + first.dir},
		{"take port " + first.port() + " of 127.0.0.1", "--port=" + first.port()},
	} {
		code, stderr := runUntilFailure(t, refusal.flag)
		if code != 1 || !strings.Contains(stderr, refusal.message) {
			t.Errorf("%s: exit code %d, message: %s", refusal.flag, code, stderr)
		}
	}
}

func TestAFailureShowsWhatTheComponentSaid(t *testing.T) {
	dir := t.TempDir()
	code, stderr := runUntilFailure(t, "--dir", dir, "--apiserver-flag=--no-such-flag")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	for _, part := range []string{"kube-apiserver: exit status 1", filepath.Join(dir, apiServerLog), "unknown flag: --no-such-flag"} {
		if !strings.Contains(stderr, part) {
			t.Errorf("%q is missing in: %s", part, stderr)
		}
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for flag, message := range map[string]string{
		"--port=70000": "--port=70000 is not a port: use 1 to 65535",
		"--prot=1":     "unknown flag: --prot",
		"start":        `unexpected argument "start"`,
	} {
		code, stderr := runUntilFailure(t, flag)
		if code != 2 || !strings.Contains(stderr, message) {
			t.Errorf("%s: exit code %d, message: %s", flag, code, stderr)
		}
	}
}

// runUntilFailure runs the program to its end, which must not be a success.
func runUntilFailure(t *testing.T, args ...string) (int, string) {
	t.Helper()
	program := programCommand(args...)
	var stderr bytes.Buffer
	program.Stderr = &stderr
	stuck := time.AfterFunc(ceiling, func() { _ = program.Process.Kill() })
	defer stuck.Stop()
	if err := program.Run(); err == nil {
		t.Fatalf("%v: ended with success", args)
	}
	return program.ProcessState.ExitCode(), stderr.String()
}
