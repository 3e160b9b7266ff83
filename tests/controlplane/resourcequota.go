package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/quota/v1/generic"
	pkgcontroller "k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/resourcequota"
	"k8s.io/kubernetes/pkg/quota/v1/install"
)

// quotaResyncPeriod is kube-controller-manager's default.
const quotaResyncPeriod = 5 * time.Minute

// addResourceQuota counts what ResourceQuotas limit; without it kube-apiserver
// enforces none of them.
func (c *controllers) addResourceQuota(ctx context.Context) error {
	evaluators, err := install.NewQuotaConfigurationForControllers(
		generic.ListerFuncForResourceFunc(c.informers.ForResource), c.informers)
	if err != nil {
		return fmt.Errorf("set up the quota evaluators: %w", err)
	}
	discover := c.client.Discovery().ServerPreferredNamespacedResources
	controller, err := resourcequota.NewController(ctx, &resourcequota.ControllerOptions{
		QuotaClient:               c.client.CoreV1(),
		ResourceQuotaInformer:     c.informers.Core().V1().ResourceQuotas(),
		ResyncPeriod:              pkgcontroller.StaticResyncPeriodFunc(quotaResyncPeriod),
		InformerFactory:           c.everyKind,
		ReplenishmentResyncPeriod: pkgcontroller.NoResyncPeriodFunc,
		DiscoveryFunc:             discover,
		IgnoredResourcesFunc:      evaluators.IgnoredResources,
		InformersStarted:          c.everyKindStarted,
		Registry:                  generic.NewRegistry(evaluators.Evaluators()),
		UpdateFilter:              install.DefaultUpdateFilter(),
	})
	if err != nil {
		return fmt.Errorf("set up the ResourceQuota controller: %w", err)
	}
	c.add(func(ctx context.Context) { controller.Run(ctx, 1) })
	c.add(func(ctx context.Context) { controller.Sync(ctx, discover, newKindsPeriod) })
	return nil
}
