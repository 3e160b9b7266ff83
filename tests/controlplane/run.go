package main

import (
	"context"
	"fmt"
	"time"
)

// startLimit is how long everything together may take to become ready. It is
// far above the usual few seconds, for machines that are busy compiling.
const startLimit = 2 * time.Minute

// run starts a control plane, prints one line when it is ready, and returns
// when it was asked to stop (nil) or when a component failed. Nothing that it
// started is left running when it returns.
func run(o options) error {
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	watchForStopRequests(o, stop)

	dir, err := openStateDirectory(o.dir)
	if err != nil {
		return err
	}
	defer dir.close()

	credentials, err := loadOrCreateCredentials(dir.path("credentials"))
	if err != nil {
		return err
	}
	port, err := reservePort(o.port)
	if err != nil {
		return err
	}
	defer port.release()
	server := fmt.Sprintf("https://127.0.0.1:%d", port.number)
	kubeconfig := dir.path("kubeconfig")
	if err := writeKubeconfig(kubeconfig, server, credentials); err != nil {
		return err
	}

	etcd, err := startEtcd(dir, credentials, stop)
	if err != nil {
		return err
	}
	defer etcd.Close()
	apiServer, err := startAPIServer(dir, credentials, etcdEndpoint(etcd), port.number, o.apiServerFlags, stop)
	if err != nil {
		return err
	}
	defer apiServer.stop()

	version, err := startControllersWhenServed(ctx, dir, credentials, server)
	if err != nil {
		return unlessStopRequested(err)
	}
	fmt.Printf("ready kubeconfig=%s server=%s version=%s\n", kubeconfig, server, version)

	<-ctx.Done()
	return unlessStopRequested(context.Cause(ctx))
}

// startControllersWhenServed brings the control plane from "the processes were
// started" to "a client may rely on it", and returns the API server's version.
func startControllersWhenServed(ctx context.Context, dir *stateDirectory, c *credentials, server string) (string, error) {
	starting, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()

	config := controllersConfig(server, c)
	version, err := waitForAPIServer(starting, config, dir.path(apiServerLog))
	if err != nil {
		return "", err
	}
	controllers, err := startControllers(ctx, config, dir, c)
	if err != nil {
		return "", err
	}
	return version, controllers.waitUntilAtWork(starting)
}
