package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// certificateLifetime is longer than any control plane is used.
const certificateLifetime = 10 * 365 * 24 * time.Hour

// certificateAuthority signs the certificates of one control plane. Its key is
// never written down: once they are signed, nobody can sign more.
type certificateAuthority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// createCertificates makes a CA, one certificate for both servers (etcd and
// kube-apiserver) and one for kube-apiserver as etcd's client.
func (c *credentials) createCertificates() error {
	ca, err := newCertificateAuthority()
	if err != nil {
		return err
	}
	if err := writeCertificate(c.caCertificate, ca.certificate.Raw); err != nil {
		return err
	}
	if err := ca.issue(serverTemplate(), c.serverCertificate, c.serverKey); err != nil {
		return err
	}
	return ca.issue(etcdClientTemplate(), c.etcdClientCertificate, c.etcdClientKey)
}

func newCertificateAuthority() (*certificateAuthority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := certificateTemplate("controlplane-ca")
	template.IsCA = true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &certificateAuthority{certificate, key}, nil
}

// issue signs a certificate for a new key and writes both.
func (ca *certificateAuthority) issue(template *x509.Certificate, certificatePath, keyPath string) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return err
	}
	if err := writeCertificate(certificatePath, der); err != nil {
		return err
	}
	return writeKey(keyPath, key)
}

func serverTemplate() *x509.Certificate {
	template := certificateTemplate("controlplane")
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	template.DNSNames = []string{"localhost", "kubernetes.default.svc"}
	return template
}

func etcdClientTemplate() *x509.Certificate {
	template := certificateTemplate("kube-apiserver")
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return template
}

func certificateTemplate(commonName string) *x509.Certificate {
	// Valid a little earlier, for a clock that is put back.
	notBefore := time.Now().Add(-time.Hour)
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		NotBefore:             notBefore,
		NotAfter:              notBefore.Add(certificateLifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
}

// createServiceAccountKey makes the key that signs ServiceAccount tokens.
func (c *credentials) createServiceAccountKey() error {
	key, err := newKey()
	if err != nil {
		return err
	}
	return writeKey(c.serviceAccountKey, key)
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	pem, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem, 0o600)
}

func writeCertificate(path string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der}), 0o600)
}
