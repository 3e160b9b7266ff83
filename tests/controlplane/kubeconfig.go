package main

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

const kubeconfigName = "controlplane"

// writeKubeconfig writes the administrator's kubeconfig. It embeds what it
// needs, so that it can be copied anywhere on this machine.
func writeKubeconfig(path, server string, c *credentials) error {
	config := api.NewConfig()
	config.Clusters[kubeconfigName] = &api.Cluster{Server: server, CertificateAuthorityData: c.ca}
	config.AuthInfos[kubeconfigName] = &api.AuthInfo{Token: c.adminToken}
	config.Contexts[kubeconfigName] = &api.Context{Cluster: kubeconfigName, AuthInfo: kubeconfigName}
	config.CurrentContext = kubeconfigName
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	return nil
}

// controllersConfig is the controllers' way to the API server, without
// client-side rate limits: nothing here protects a shared cluster.
func controllersConfig(server string, c *credentials) *rest.Config {
	return &rest.Config{
		Host:            server,
		BearerToken:     c.controllersToken,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.ca},
		UserAgent:       "controlplane",
		QPS:             -1,
	}
}
