package main

import (
	"errors"
	"fmt"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// What an operator's tests rely on, and what this module (rather than
// kube-apiserver alone) is responsible for.
func TestAReadyClusterDoesWhatARealOneDoes(t *testing.T) {
	t.Parallel()
	p := startPlane(t, t.TempDir())
	t.Run("the ServiceAccount default is there from the start", func(t *testing.T) {
		_, err := p.client(t).CoreV1().ServiceAccounts("default").Get(t.Context(), "default", metav1.GetOptions{})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("a ServiceAccount may do what RBAC grants and nothing else", func(t *testing.T) { rbacHolds(t, p) })
	t.Run("a ClusterRole gathers the rules of those with its label", func(t *testing.T) { clusterRolesAggregate(t, p.client(t)) })
	t.Run("an object is collected with its owner, also of a new kind", func(t *testing.T) { dependentsAreCollected(t, p) })
	t.Run("a ResourceQuota is enforced", func(t *testing.T) { quotaIsEnforced(t, p.client(t)) })
	t.Run("a Secret for a ServiceAccount's token is filled", func(t *testing.T) { tokenSecretIsFilled(t, p.client(t)) })
	t.Run("a namespace is deleted with its content", func(t *testing.T) { deleteNamespaceWithContent(t, p.client(t)) })
}

func rbacHolds(t *testing.T, p *plane) {
	client := p.client(t)
	bind := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "view"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "default"}},
	}
	if _, err := client.RbacV1().RoleBindings("default").Create(t.Context(), bind, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	request, err := client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(p.config(t))
	config.BearerToken = request.Status.Token
	account, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		_, err := account.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
		return err
	})
	if _, err := account.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("Secrets should be forbidden, got: %v", err)
	}
	if _, err := account.CoreV1().ConfigMaps("kube-system").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("another namespace should be forbidden, got: %v", err)
	}
}

func clusterRolesAggregate(t *testing.T, client kubernetes.Interface) {
	part := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "part-of-view", Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"example.com"}, Resources: []string{"things"}, Verbs: []string{"get"}}},
	}
	if _, err := client.RbacV1().ClusterRoles().Create(t.Context(), part, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		view, err := client.RbacV1().ClusterRoles().Get(t.Context(), "view", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, rule := range view.Rules {
			if rule.APIGroups[0] == "example.com" {
				return nil
			}
		}
		return errors.New("the ClusterRole view lacks the new rule")
	})
}

func dependentsAreCollected(t *testing.T, p *plane) {
	things := installThings(t, p.config(t))
	owner := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Thing", "metadata": map[string]any{"name": "owner"},
	}}
	var created *unstructured.Unstructured
	eventually(t, func() (err error) {
		created, err = things.Create(t.Context(), owner, metav1.CreateOptions{})
		return err
	})
	secrets := p.client(t).CoreV1().Secrets("default")
	dependent := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "dependent", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "example.com/v1", Kind: "Thing", Name: "owner", UID: created.GetUID()},
	}}}
	if _, err := secrets.Create(t.Context(), dependent, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := things.Delete(t.Context(), "owner", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	deleted := time.Now()
	eventually(t, func() error {
		_, err := secrets.Get(t.Context(), "dependent", metav1.GetOptions{})
		return mustBeGone(err)
	})
	// kube-controller-manager would need half a minute to learn of the new kind.
	if took := time.Since(deleted); took > 10*newKindsPeriod {
		t.Errorf("it took %s", took)
	}
}

// installThings installs a new kind and returns the client for its objects.
func installThings(t *testing.T, config *rest.Config) dynamic.ResourceInterface {
	t.Helper()
	preserve := true
	definition := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "things.example.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "example.com",
			Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "things", Singular: "thing", Kind: "Thing", ListKind: "ThingList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &preserve}},
			}},
		},
	}
	_, err := apiextensions.NewForConfigOrDie(config).ApiextensionsV1().CustomResourceDefinitions().Create(t.Context(), definition, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	resource := schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "things"}
	return dynamic.NewForConfigOrDie(config).Resource(resource).Namespace("default")
}

func quotaIsEnforced(t *testing.T, client kubernetes.Interface) {
	makeNamespace(t, client, "limited")
	none := corev1.ResourceList{"count/configmaps": resource.MustParse("0")}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: none}}
	if _, err := client.CoreV1().ResourceQuotas("limited").Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	attempt := 0
	eventually(t, func() error {
		attempt++
		name := fmt.Sprintf("attempt-%d", attempt)
		_, err := client.CoreV1().ConfigMaps("limited").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if apierrors.IsForbidden(err) {
			return nil
		}
		return fmt.Errorf("a ConfigMap above the quota should be forbidden, got: %v", err)
	})
}

func tokenSecretIsFilled(t *testing.T, client kubernetes.Interface) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "long-lived", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	if _, err := client.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		filled, err := client.CoreV1().Secrets("default").Get(t.Context(), "long-lived", metav1.GetOptions{})
		if err == nil && len(filled.Data[corev1.ServiceAccountTokenKey]) == 0 {
			return errors.New("the Secret has no token")
		}
		return err
	})
}

// deleteNamespaceWithContent returns when a namespace that held a ConfigMap is gone.
func deleteNamespaceWithContent(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	makeNamespace(t, client, "full")
	content := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "content"}}
	if _, err := client.CoreV1().ConfigMaps("full").Create(t.Context(), content, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().Namespaces().Delete(t.Context(), "full", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		_, err := client.CoreV1().Namespaces().Get(t.Context(), "full", metav1.GetOptions{})
		return mustBeGone(err)
	})
}

func makeNamespace(t *testing.T, client kubernetes.Interface, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// mustBeGone turns the answer to a read into an error until it says "not found".
func mustBeGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		return errors.New("it is still there")
	}
	return err
}
