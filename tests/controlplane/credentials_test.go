package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

func newTestCredentials(t *testing.T) (string, *credentials) {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "credentials")
	c, err := loadOrCreateCredentials(directory)
	if err != nil {
		t.Fatal(err)
	}
	return directory, c
}

func TestServerCertificateIsTrustedForLoopbackOnly(t *testing.T) {
	_, c := newTestCredentials(t)
	pair, err := tls.LoadX509KeyPair(c.serverCertificate, c.serverKey)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.ca)
	for host, trusted := range map[string]bool{"127.0.0.1": true, "localhost": true, "example.com": false, "192.0.2.1": false} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots})
		if (err == nil) != trusted {
			t.Errorf("%s: trusted should be %v, but verification says: %v", host, trusted, err)
		}
	}
}

func TestServerCertificateIsNoClientOfEtcd(t *testing.T) {
	_, c := newTestCredentials(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.ca)
	asClient := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for path, isClient := range map[string]bool{c.etcdClientCertificate: true, c.serverCertificate: false} {
		pair, err := tls.LoadX509KeyPair(path, path[:len(path)-len("crt")]+"key")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pair.Leaf.Verify(asClient); (err == nil) != isClient {
			t.Errorf("%s: accepted as a client should be %v, but verification says: %v", filepath.Base(path), isClient, err)
		}
	}
}

func TestCredentialsStayTheSameInTheSameDirectory(t *testing.T) {
	directory, first := newTestCredentials(t)
	second, err := loadOrCreateCredentials(directory)
	if err != nil {
		t.Fatal(err)
	}
	if first.adminToken == "" || first.adminToken != second.adminToken {
		t.Error("the administrator's token changed")
	}
	if !bytes.Equal(first.ca, second.ca) {
		t.Error("the CA changed")
	}
}

func TestSecretsAreReadableByTheirOwnerOnly(t *testing.T) {
	directory, _ := newTestCredentials(t)
	err := filepath.Walk(directory, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", filepath.Base(path), info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestKubeconfigNeedsNoOtherFile(t *testing.T) {
	_, c := newTestCredentials(t)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := writeKubeconfig(path, "https://127.0.0.1:1", c); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://127.0.0.1:1" || config.BearerToken != c.adminToken || !bytes.Equal(config.CAData, c.ca) {
		t.Error("server, token or CA differ from what was written")
	}
	if config.CAFile != "" || config.BearerTokenFile != "" {
		t.Error("the kubeconfig refers to another file")
	}
}
