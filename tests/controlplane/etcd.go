package main

import (
	"context"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

const etcdLog = "etcd.log"

// startEtcd runs a single etcd member inside this process. It listens on ports
// that the kernel chooses and serves only clients with a certificate of our CA.
// The caller closes it.
func startEtcd(dir *stateDirectory, c *credentials, stop context.CancelCauseFunc) (*embed.Etcd, error) {
	log, err := dir.createLog(etcdLog)
	if err != nil {
		return nil, err
	}
	log.Close()

	// By default 128 MB are set aside for the log of a cluster that needs 1 MB.
	wal.SegmentSizeBytes = 4 << 20
	etcd, err := embed.StartEtcd(etcdConfig(dir, c))
	if err != nil {
		return nil, &componentFailure{"etcd", dir.path(etcdLog), err}
	}
	go func() {
		stop(&componentFailure{"etcd", dir.path(etcdLog), <-etcd.Err()})
	}()
	return etcd, nil
}

// etcdEndpoint is where etcd's clients find it. They may come before it has
// elected itself: they wait.
func etcdEndpoint(etcd *embed.Etcd) string {
	return "https://" + etcd.Clients[0].Addr().String()
}

func etcdConfig(dir *stateDirectory, c *credentials) *embed.Config {
	anyPort := url.URL{Scheme: "https", Host: "127.0.0.1:0"}
	anyPeerPort := url.URL{Scheme: "http", Host: "127.0.0.1:0"}

	config := embed.NewConfig()
	config.Name = "controlplane"
	config.Dir = dir.path("etcd")
	config.LogOutputs = []string{dir.path(etcdLog)}
	config.ListenClientUrls = []url.URL{anyPort}
	config.AdvertiseClientUrls = []url.URL{anyPort}
	config.ListenPeerUrls = []url.URL{anyPeerPort}
	config.AdvertisePeerUrls = []url.URL{anyPeerPort}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.ClientTLSInfo.CertFile = c.serverCertificate
	config.ClientTLSInfo.KeyFile = c.serverKey
	config.ClientTLSInfo.TrustedCAFile = c.caCertificate
	config.ClientTLSInfo.ClientCertAuth = true
	// The gateway would call etcd without a client certificate; nobody uses it.
	config.EnableGRPCGateway = false
	// A crash of the machine may cost the data: it is worth nothing by then.
	config.UnsafeNoFsync = true
	// A cluster of one only loses time by waiting for other candidates.
	config.TickMs = 20
	config.ElectionMs = 100
	// NewConfig leaves this one at zero, which logs every request.
	config.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	return config
}
