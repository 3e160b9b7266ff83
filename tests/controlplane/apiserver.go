package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

const (
	// apiServerRole as first argument makes this program a kube-apiserver. It
	// is a process of its own because flags, feature gates, logging and signal
	// handling are global there, and because a failure must leave someone
	// behind who can report it.
	apiServerRole = "kube-apiserver"
	apiServerLog  = "kube-apiserver.log"
)

// runAPIServerRole is the child's main function.
func runAPIServerRole(args []string) int {
	exitWithLifeline()
	command := app.NewAPIServerCommand()
	command.SetArgs(args)
	return cli.Run(command)
}

// apiServer is the running child process.
type apiServer struct {
	process  *exec.Cmd
	lifeline *lifeline
	exited   chan struct{}
}

func startAPIServer(dir *stateDirectory, c *credentials, etcdEndpoint string, port int, extraFlags []string, stop context.CancelCauseFunc) (*apiServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's own file: %w", err)
	}
	log, err := dir.createLog(apiServerLog)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	line, err := newLifeline()
	if err != nil {
		return nil, err
	}
	defer line.childEnd.Close()

	flags := append(apiServerFlags(dir, c, etcdEndpoint, port), extraFlags...)
	process := exec.Command(self, append([]string{apiServerRole}, flags...)...)
	process.Stdin, process.Stdout, process.Stderr = line.childEnd, log, log
	// In a process group of its own, Ctrl-C in a terminal reaches us alone.
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("start kube-apiserver: %w", err)
	}

	server := &apiServer{process, line, make(chan struct{})}
	go func() {
		err := process.Wait()
		close(server.exited)
		if err == nil {
			err = errors.New("exited by itself")
		}
		stop(&componentFailure{"kube-apiserver", dir.path(apiServerLog), err})
	}()
	return server, nil
}

func apiServerFlags(dir *stateDirectory, c *credentials, etcdEndpoint string, port int) []string {
	return []string{
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
		"--permit-port-sharing=true",
		"--tls-cert-file=" + c.serverCertificate,
		"--tls-private-key-file=" + c.serverKey,

		"--etcd-servers=" + etcdEndpoint,
		"--etcd-cafile=" + c.caCertificate,
		"--etcd-certfile=" + c.etcdClientCertificate,
		"--etcd-keyfile=" + c.etcdClientKey,

		"--authorization-mode=RBAC",
		"--token-auth-file=" + c.tokens,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + c.serviceAccountKey,
		"--service-account-key-file=" + c.serviceAccountKey,

		"--service-cluster-ip-range=10.0.0.0/24",
		// Nothing can reach this API server from a Pod network, and a machine
		// without any network has no other address that could be advertised.
		"--endpoint-reconciler-type=none",
		"--advertise-address=127.0.0.1",
		"--profiling=false",
	}
}

// stop ends the process at once. Nobody needs a graceful end: requests under
// way are cut, as they are when a real API server dies.
func (s *apiServer) stop() {
	s.lifeline.ourEnd.Close()
	select {
	case <-s.exited:
	case <-time.After(2 * time.Second):
		// It may have been stopped (SIGSTOP) by a test of outages.
		_ = s.process.Process.Kill()
		<-s.exited
	}
}

// waitForAPIServer returns the server's version once it says that it is ready
// and the namespace "default", which it creates itself, is there.
func waitForAPIServer(ctx context.Context, config *rest.Config, log string) (string, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", fmt.Errorf("create a client for kube-apiserver: %w", err)
	}
	err = waitFor(ctx, "kube-apiserver", log, func(ctx context.Context) error {
		answer, err := client.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err != nil {
			return fmt.Errorf("%w %s", err, answer)
		}
		_, err = client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
		return err
	})
	if err != nil {
		return "", err
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return "", fmt.Errorf("read kube-apiserver's version: %w", err)
	}
	return version.GitVersion, nil
}
