package main

import (
	"bytes"
	"crypto/rand"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
)

// credentials are the keys and tokens of one control plane: paths for what the
// components read as files, contents for what this program uses itself.
type credentials struct {
	caCertificate         string
	serverCertificate     string
	serverKey             string
	etcdClientCertificate string
	etcdClientKey         string
	serviceAccountKey     string
	tokens                string

	ca               []byte
	adminToken       string
	controllersToken string
}

const (
	adminUser       = "admin"
	controllersUser = "system:kube-controller-manager"
	// superusers may do everything; kube-apiserver does not even ask RBAC.
	superusers = "system:masters"
)

func credentialsIn(directory string) *credentials {
	path := func(name string) string { return filepath.Join(directory, name) }
	return &credentials{
		caCertificate:         path("ca.crt"),
		serverCertificate:     path("server.crt"),
		serverKey:             path("server.key"),
		etcdClientCertificate: path("etcd-client.crt"),
		etcdClientKey:         path("etcd-client.key"),
		serviceAccountKey:     path("service-account.key"),
		tokens:                path("tokens.csv"),
	}
}

// loadOrCreateCredentials makes the credentials on the first start in a
// directory and uses them again on the next ones, so that the tokens that were
// given out stay valid.
func loadOrCreateCredentials(directory string) (*credentials, error) {
	if _, err := os.Stat(directory); os.IsNotExist(err) {
		if err := createCredentials(directory); err != nil {
			return nil, fmt.Errorf("create credentials in %s: %w", directory, err)
		}
	}
	c := credentialsIn(directory)
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("read the credentials of an earlier start: %w; remove the state directory to begin anew", err)
	}
	return c, nil
}

// createCredentials fills a directory beside the final one and renames it:
// a start that was interrupted leaves no half of them.
func createCredentials(directory string) error {
	unfinished, err := os.MkdirTemp(filepath.Dir(directory), "credentials-unfinished-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(unfinished)

	c := credentialsIn(unfinished)
	if err := c.createCertificates(); err != nil {
		return err
	}
	if err := c.createServiceAccountKey(); err != nil {
		return err
	}
	if err := c.createTokens(); err != nil {
		return err
	}
	return os.Rename(unfinished, directory)
}

// createTokens writes kube-apiserver's static token file: token, user name,
// user uid, groups.
func (c *credentials) createTokens() error {
	var table bytes.Buffer
	writer := csv.NewWriter(&table)
	for _, user := range []string{adminUser, controllersUser} {
		if err := writer.Write([]string{rand.Text(), user, user, superusers}); err != nil {
			return err
		}
	}
	writer.Flush()
	return os.WriteFile(c.tokens, table.Bytes(), 0o600)
}

func (c *credentials) load() error {
	ca, err := os.ReadFile(c.caCertificate)
	if err != nil {
		return err
	}
	c.ca = ca
	file, err := os.Open(c.tokens)
	if err != nil {
		return err
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return fmt.Errorf("%s: %w", c.tokens, err)
	}
	for _, row := range rows {
		switch row[1] {
		case adminUser:
			c.adminToken = row[0]
		case controllersUser:
			c.controllersToken = row[0]
		}
	}
	return nil
}
