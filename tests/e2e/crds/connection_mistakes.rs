//! Manifests of connections that people get wrong.

use anyhow::Result;

use super::cluster::{Cluster, Kind, Mistake};

/// Mistakes in a value of a `CommunicationConnection`, each against a rule or bound of the schema.
pub const VALUES: &[Mistake] = &[
    Mistake {
        name: "no way to sign in",
        spec: "endpoint: https://contoso.communication.azure.com",
        at: "spec.auth",
        says: "Required value",
    },
    Mistake {
        name: "an empty way to sign in",
        spec: "{endpoint: https://contoso.communication.azure.com, auth: {}}",
        at: "spec.auth",
        says: "set exactly one of auth.connectionString, auth.accessKey, auth.workloadIdentity, auth.clientSecret",
    },
    Mistake {
        name: "two ways to sign in",
        spec: "{endpoint: https://contoso.communication.azure.com, auth: {accessKey: {secretRef: {name: acs}}, workloadIdentity: {serviceAccountRef: {name: acs}}}}",
        at: "spec.auth",
        says: "set exactly one of",
    },
    Mistake {
        name: "an access key without an endpoint",
        spec: "auth: {accessKey: {secretRef: {name: acs}}}",
        at: "spec",
        says: "spec.endpoint is needed, for example https://contoso.unitedstates.communication.azure.com",
    },
    Mistake {
        name: "a connection string and an endpoint",
        spec: "{endpoint: https://contoso.communication.azure.com, auth: {connectionString: {secretRef: {name: acs}}}}",
        at: "spec",
        says: "remove spec.endpoint: with auth.connectionString the endpoint comes from the connection string",
    },
    Mistake {
        name: "an endpoint without a scheme",
        spec: "{endpoint: contoso.communication.azure.com, auth: {accessKey: {secretRef: {name: acs}}}}",
        at: "spec.endpoint",
        says: "endpoint must be scheme and host only, for example https://contoso.unitedstates.communication.azure.com",
    },
    Mistake {
        name: "an endpoint with a path",
        spec: "{endpoint: 'https://contoso.communication.azure.com/identities', auth: {accessKey: {secretRef: {name: acs}}}}",
        at: "spec.endpoint",
        says: "scheme and host only",
    },
    Mistake {
        name: "an endpoint with a key",
        spec: "{endpoint: 'https://contoso.communication.azure.com/;accesskey=c2VjcmV0', auth: {accessKey: {secretRef: {name: acs}}}}",
        at: "spec.endpoint",
        says: "scheme and host only",
    },
    Mistake {
        name: "an endpoint with a user",
        spec: "{endpoint: 'https://contoso.communication.azure.com@evil.example', auth: {accessKey: {secretRef: {name: acs}}}}",
        at: "spec.endpoint",
        says: "scheme and host only",
    },
    Mistake {
        name: "an endpoint of another protocol",
        spec: "{endpoint: 'wss://contoso.communication.azure.com', auth: {accessKey: {secretRef: {name: acs}}}}",
        at: "spec.endpoint",
        says: "scheme and host only",
    },
    Mistake {
        name: "a Secret without a name",
        spec: "auth: {connectionString: {secretRef: {keys: [primaryConnectionString]}}}",
        at: "spec.auth.connectionString.secretRef.name",
        says: "Required value",
    },
    Mistake {
        name: "a method without its Secret",
        spec: "auth: {connectionString: {}}",
        at: "spec.auth.connectionString.secretRef",
        says: "Required value",
    },
    Mistake {
        name: "a Secret's name in capitals",
        spec: "auth: {connectionString: {secretRef: {name: ACS}}}",
        at: "spec.auth.connectionString.secretRef.name",
        says: "must be the name of a Kubernetes object",
    },
    Mistake {
        name: "no key of the Secret",
        spec: "auth: {connectionString: {secretRef: {name: acs, keys: []}}}",
        at: "spec.auth.connectionString.secretRef.keys",
        says: "should have at least 1 items",
    },
    Mistake {
        name: "more keys of the Secret than Azure has",
        spec: "auth: {connectionString: {secretRef: {name: acs, keys: [a, b, c]}}}",
        at: "spec.auth.connectionString.secretRef.keys",
        says: "must have at most 2 items",
    },
    Mistake {
        name: "the access key itself in place of its key",
        spec: "{endpoint: https://contoso.communication.azure.com, auth: {accessKey: {secretRef: {name: acs, keys: ['c2VjcmV0LWtleQ==']}}}}",
        at: "spec.auth.accessKey.secretRef.keys[0]",
        says: "must be a key of a Secret",
    },
    Mistake {
        name: "a client secret without its tenant",
        spec: "{endpoint: https://contoso.communication.azure.com, auth: {clientSecret: {clientId: a, secretRef: {name: acs}}}}",
        at: "spec.auth.clientSecret.tenantId",
        says: "Required value",
    },
    Mistake {
        name: "a tenant id that is too long to be one",
        spec: "{endpoint: https://contoso.communication.azure.com, auth: {clientSecret: {tenantId: 'https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000', clientId: a, secretRef: {name: acs}}}}",
        at: "spec.auth.clientSecret.tenantId",
        says: "may not be more than 64",
    },
    Mistake {
        name: "the operator's own workload identity, which is for cluster connections",
        spec: "{endpoint: https://contoso.communication.azure.com, auth: {workloadIdentity: {}}}",
        at: "spec.auth.workloadIdentity.serviceAccountRef",
        says: "Required value",
    },
    Mistake {
        name: "an API version that is a name",
        spec: "{serviceApiVersion: latest, auth: {connectionString: {secretRef: {name: acs}}}}",
        at: "spec.serviceApiVersion",
        says: "for example 2023-10-01 or 2025-03-02-preview",
    },
    Mistake {
        name: "a budget of nothing",
        spec: "{requestBudgetPercent: 0, auth: {connectionString: {secretRef: {name: acs}}}}",
        at: "spec.requestBudgetPercent",
        says: "should be greater than or equal to 1",
    },
    Mistake {
        name: "a budget above the limit",
        spec: "{requestBudgetPercent: 150, auth: {connectionString: {secretRef: {name: acs}}}}",
        at: "spec.requestBudgetPercent",
        says: "should be less than or equal to 100",
    },
    Mistake {
        name: "a rate limit of nothing",
        spec: "{rateLimits: {create: 0}, auth: {connectionString: {secretRef: {name: acs}}}}",
        at: "spec.rateLimits.create",
        says: "should be greater than or equal to 1",
    },
    Mistake {
        name: "a rate limit beyond any resource",
        spec: "{rateLimits: {issue: 1000001}, auth: {connectionString: {secretRef: {name: acs}}}}",
        at: "spec.rateLimits.issue",
        says: "should be less than or equal to 1000000",
    },
    Mistake {
        name: "a day in place of a time",
        spec: "{tokensValidFrom: '2026-11-23', auth: {connectionString: {secretRef: {name: acs}}}}",
        at: "spec.tokensValidFrom",
        says: "must be of type date-time",
    },
    Mistake {
        name: "a time in a zone that does not exist",
        spec: "{tokensValidFrom: '2026-11-23T08:00:00+99:99', auth: {connectionString: {secretRef: {name: acs}}}}",
        at: "spec.tokensValidFrom",
        says: "should match '^[0-9]{4}-[0-9]{2}-[0-9]{2}T",
    },
    Mistake {
        name: "a time without a zone",
        spec: "{tokensValidFrom: '2026-11-23T08:00:00', auth: {connectionString: {secretRef: {name: acs}}}}",
        at: "spec.tokensValidFrom",
        says: "must be of type date-time",
    },
];

/// Mistakes in the type of a value of a `CommunicationConnection`, or in a name of a field.
const SHAPES: &[Mistake] = &[
    Mistake {
        name: "a Secret of another namespace",
        spec: "auth: {connectionString: {secretRef: {name: acs, namespace: acs-system}}}",
        at: "spec.auth.connectionString.secretRef.namespace",
        says: "unknown field",
    },
    Mistake {
        name: "a managed identity, which is for cluster connections",
        spec: "{endpoint: https://contoso.communication.azure.com, auth: {managedIdentity: {}}}",
        at: "spec.auth.managedIdentity",
        says: "unknown field",
    },
    Mistake {
        name: "a list of namespaces, which is for cluster connections",
        spec: "{auth: {connectionString: {secretRef: {name: acs}}}, allowedNamespaces: {selector: {}}}",
        at: "spec.allowedNamespaces",
        says: "unknown field",
    },
    Mistake {
        name: "the connection string itself",
        spec: "auth: {connectionString: 'endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0'}",
        at: "spec.auth.connectionString",
        says: "must be of type object",
    },
    Mistake {
        name: "a budget with a percent sign",
        spec: "{requestBudgetPercent: 50%, auth: {connectionString: {secretRef: {name: acs}}}}",
        at: "spec.requestBudgetPercent",
        says: "must be of type integer",
    },
];

/// Mistakes in a value of a `ClusterCommunicationConnection`, each against a rule or bound of the schema.
pub const CLUSTER_VALUES: &[Mistake] = &[
    Mistake {
        name: "nobody allowed",
        spec: "auth: {connectionString: {secretRef: {name: acs, namespace: acs-system}}}",
        at: "spec.allowedNamespaces",
        says: "Required value",
    },
    Mistake {
        name: "an empty allowance, meant as everybody",
        spec: "{allowedNamespaces: {}, auth: {connectionString: {secretRef: {name: acs, namespace: acs-system}}}}",
        at: "spec.allowedNamespaces",
        says: "list allowedNamespaces.names, or give a selector; 'selector: {}' allows every namespace",
    },
    Mistake {
        name: "a namespace twice",
        spec: "{allowedNamespaces: {names: [a, b, a]}, auth: {connectionString: {secretRef: {name: acs, namespace: acs-system}}}}",
        at: "spec.allowedNamespaces.names[2]",
        says: "Duplicate value",
    },
    Mistake {
        name: "a namespace's name that is too long",
        spec: "{allowedNamespaces: {names: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]}, auth: {connectionString: {secretRef: {name: acs, namespace: acs-system}}}}",
        at: "spec.allowedNamespaces.names[0]",
        says: "may not be more than 63",
    },
    Mistake {
        name: "a requirement without an operator",
        spec: "{allowedNamespaces: {selector: {matchExpressions: [{key: team}]}}, auth: {connectionString: {secretRef: {name: acs, namespace: acs-system}}}}",
        at: "spec.allowedNamespaces.selector.matchExpressions[0].operator",
        says: "Required value",
    },
    Mistake {
        name: "a Secret without a namespace",
        spec: "{allowedNamespaces: {selector: {}}, auth: {connectionString: {secretRef: {name: acs}}}}",
        at: "spec.auth.connectionString.secretRef.namespace",
        says: "Required value",
    },
    Mistake {
        name: "a Secret in a namespace that cannot exist",
        spec: "{allowedNamespaces: {selector: {}}, auth: {connectionString: {secretRef: {name: acs, namespace: acs.system}}}}",
        at: "spec.auth.connectionString.secretRef.namespace",
        says: "must be the name of a namespace",
    },
    Mistake {
        name: "two ways to sign in, of which one is the pod's",
        spec: "{endpoint: https://contoso.communication.azure.com, allowedNamespaces: {selector: {}}, auth: {workloadIdentity: {}, managedIdentity: {}}}",
        at: "spec.auth",
        says: "set exactly one of auth.connectionString, auth.accessKey, auth.workloadIdentity, auth.managedIdentity, auth.clientSecret",
    },
    Mistake {
        name: "a managed identity without an endpoint",
        spec: "{allowedNamespaces: {selector: {}}, auth: {managedIdentity: {}}}",
        at: "spec",
        says: "spec.endpoint is needed",
    },
    Mistake {
        name: "a connection string and an endpoint",
        spec: "{endpoint: https://contoso.communication.azure.com, allowedNamespaces: {selector: {}}, auth: {connectionString: {secretRef: {name: acs, namespace: acs-system}}}}",
        at: "spec",
        says: "remove spec.endpoint",
    },
];

/// Mistakes in the type of a value of a `ClusterCommunicationConnection`, or in a name of a field.
const CLUSTER_SHAPES: &[Mistake] = &[
    Mistake {
        name: "adoption, which on a shared connection is impersonation",
        spec: "{allowAdoption: true, allowedNamespaces: {selector: {}}, auth: {connectionString: {secretRef: {name: acs, namespace: acs-system}}}}",
        at: "spec.allowAdoption",
        says: "unknown field",
    },
    Mistake {
        name: "a ServiceAccount other than the operator's",
        spec: "{endpoint: https://contoso.communication.azure.com, allowedNamespaces: {selector: {}}, auth: {workloadIdentity: {serviceAccountRef: {name: acs}}}}",
        at: "spec.auth.workloadIdentity.serviceAccountRef",
        says: "unknown field",
    },
    Mistake {
        name: "namespaces as a plain list",
        spec: "{allowedNamespaces: [a, b], auth: {connectionString: {secretRef: {name: acs, namespace: acs-system}}}}",
        at: "spec.allowedNamespaces",
        says: "must be of type object",
    },
];

#[tokio::test]
async fn a_connection_with_a_wrong_value_is_refused_with_the_field_and_what_to_write_instead() -> Result<()> {
    let cluster = Cluster::shared("connection-values").await?;
    let mut complaints = cluster.badly_refused(Kind::Connection, VALUES).await?;
    complaints.extend(cluster.badly_refused(Kind::ClusterConnection, CLUSTER_VALUES).await?);
    assert!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}

#[tokio::test]
async fn a_connection_of_a_wrong_shape_is_refused_with_the_field() -> Result<()> {
    let cluster = Cluster::shared("connection-shapes").await?;
    let mut complaints = cluster.badly_refused(Kind::Connection, SHAPES).await?;
    complaints.extend(cluster.badly_refused(Kind::ClusterConnection, CLUSTER_SHAPES).await?);
    assert!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}
