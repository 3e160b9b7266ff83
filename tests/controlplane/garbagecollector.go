package main

import (
	"context"
	"fmt"

	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
)

// addGarbageCollector deletes objects whose owners are gone.
func (c *controllers) addGarbageCollector(ctx context.Context) error {
	// The mapper's cached discovery is its own: the collector empties it when
	// it finds new kinds.
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.client.Discovery()))
	c.dependencies = garbagecollector.NewDependencyGraphBuilder(ctx, c.metadata, mapper,
		garbagecollector.DefaultIgnoredResources(), c.everyKind, c.everyKindStarted)
	collector, err := garbagecollector.NewComposedGarbageCollector(ctx, c.client, c.metadata, mapper, c.dependencies)
	if err != nil {
		return fmt.Errorf("set up the garbage collector: %w", err)
	}
	c.add(func(ctx context.Context) { collector.Run(ctx, 10, startLimit) })
	c.add(func(ctx context.Context) { collector.Sync(ctx, c.client.Discovery(), newKindsPeriod) })
	return nil
}
