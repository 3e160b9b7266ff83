package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	serviceaccountcontroller "k8s.io/kubernetes/pkg/controller/serviceaccount"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

const (
	controllersLog = "controllers.log"

	// newKindsPeriod is how often the controllers that handle every kind look
	// for new ones. kube-controller-manager waits 30 s, for which a test would
	// have to wait after it installed a CustomResourceDefinition.
	newKindsPeriod = 2 * time.Second
)

// controllers are kube-controller-manager's own, put together without the rest
// of it (Pods, volumes, nodes, cloud), and run inside this process.
type controllers struct {
	client            kubernetes.Interface
	metadata          metadata.Interface
	informers         informers.SharedInformerFactory
	everyKind         informerfactory.InformerFactory
	everyKindStarted  chan struct{}
	ca                []byte
	serviceAccountKey any
	dependencies      *garbagecollector.GraphBuilder
	runs              []func(context.Context)
	log               string
}

// startControllers starts them all. They end with ctx.
func startControllers(ctx context.Context, config *rest.Config, dir *stateDirectory, c *credentials) (*controllers, error) {
	log, err := dir.createLog(controllersLog)
	if err != nil {
		return nil, err
	}
	logTo(log)

	all, err := newControllers(config, c)
	if err != nil {
		return nil, err
	}
	all.log = log.Name()
	for _, add := range []func(context.Context) error{
		all.addNamespace,
		all.addServiceAccount,
		all.addServiceAccountToken,
		all.addClusterRoleAggregation,
		all.addGarbageCollector,
		all.addResourceQuota,
	} {
		if err := add(ctx); err != nil {
			return nil, &componentFailure{"controllers", all.log, err}
		}
	}
	all.start(ctx)
	return all, nil
}

// logTo sends what the controllers and their clients log to a file; klog's
// state is global.
func logTo(file *os.File) {
	klog.SetLogger(textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(file))))
}

func newControllers(config *rest.Config, c *credentials) (*controllers, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create the controllers' client: %w", err)
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create the controllers' metadata client: %w", err)
	}
	key, err := keyutil.PrivateKeyFromFile(c.serviceAccountKey)
	if err != nil {
		return nil, fmt.Errorf("read the key that signs ServiceAccount tokens: %w", err)
	}
	typed := informers.NewSharedInformerFactory(client, 0)
	return &controllers{
		client:            client,
		metadata:          metadataClient,
		informers:         typed,
		everyKind:         informerfactory.NewInformerFactory(typed, metadatainformer.NewSharedInformerFactory(metadataClient, 0)),
		everyKindStarted:  make(chan struct{}),
		ca:                c.ca,
		serviceAccountKey: key,
	}, nil
}

func (c *controllers) add(run func(context.Context)) { c.runs = append(c.runs, run) }

func (c *controllers) start(ctx context.Context) {
	c.everyKind.Start(ctx.Done())
	close(c.everyKindStarted)
	for _, run := range c.runs {
		go run(ctx)
	}
}

// addNamespace empties namespaces that are being deleted.
func (c *controllers) addNamespace(ctx context.Context) error {
	controller := namespace.NewNamespaceController(ctx, c.client, c.metadata,
		c.client.Discovery().ServerPreferredNamespacedResources,
		c.informers.Core().V1().Namespaces(), 0, corev1.FinalizerKubernetes)
	c.add(func(ctx context.Context) { controller.Run(ctx, 10) })
	return nil
}

// addServiceAccount gives every namespace its ServiceAccount "default".
func (c *controllers) addServiceAccount(ctx context.Context) error {
	core := c.informers.Core().V1()
	controller, err := serviceaccountcontroller.NewServiceAccountsController(klog.FromContext(ctx),
		core.ServiceAccounts(), core.Namespaces(), c.client,
		serviceaccountcontroller.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return fmt.Errorf("set up the ServiceAccount controller: %w", err)
	}
	c.add(func(ctx context.Context) { controller.Run(ctx, 1) })
	return nil
}

// addServiceAccountToken fills Secrets of the type kubernetes.io/service-account-token.
func (c *controllers) addServiceAccountToken(ctx context.Context) error {
	generator, err := serviceaccount.JWTTokenGenerator(serviceaccount.LegacyIssuer, c.serviceAccountKey)
	if err != nil {
		return fmt.Errorf("set up the generator of ServiceAccount tokens: %w", err)
	}
	core := c.informers.Core().V1()
	controller, err := serviceaccountcontroller.NewTokensController(klog.FromContext(ctx),
		core.ServiceAccounts(), core.Secrets(), c.client,
		serviceaccountcontroller.TokensControllerOptions{TokenGenerator: generator, RootCA: c.ca})
	if err != nil {
		return fmt.Errorf("set up the ServiceAccount token controller: %w", err)
	}
	c.add(func(ctx context.Context) { controller.Run(ctx, 1) })
	return nil
}

// addClusterRoleAggregation fills ClusterRoles that have an aggregationRule.
func (c *controllers) addClusterRoleAggregation(context.Context) error {
	controller := clusterroleaggregation.NewClusterRoleAggregation(c.informers.Rbac().V1().ClusterRoles(), c.client.RbacV1())
	c.add(func(ctx context.Context) { controller.Run(ctx, 1) })
	return nil
}

// waitUntilAtWork returns when what the controllers do can be seen.
func (c *controllers) waitUntilAtWork(ctx context.Context) error {
	return waitFor(ctx, "controllers", c.log, func(ctx context.Context) error {
		if !c.dependencies.IsSynced(klog.FromContext(ctx)) {
			return errors.New("the garbage collector does not know all objects yet")
		}
		_, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return errors.New("the namespace default has no ServiceAccount default yet")
		}
		if err != nil {
			return err
		}
		view, err := c.client.RbacV1().ClusterRoles().Get(ctx, "view", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(view.Rules) == 0 {
			return errors.New("the aggregated ClusterRole view is empty yet")
		}
		return nil
	})
}
