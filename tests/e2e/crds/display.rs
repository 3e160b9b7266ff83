//! What kubectl shows of the kinds: columns, field selectors, explanations.

use std::time::Duration;

use acs_operator_testbed::ControlPlane;
use anyhow::{Context, Result};
use serde_json::json;
use tokio::time;

use super::cluster::{Cluster, Kind, name};

const ID: &str = "8:acs:11111111-2222-3333-4444-555555555555_0000000a-1b2c-3d4e-5f60-718293a4b5c6";

/// How long the API server may take to publish what `kubectl explain` reads. It follows the definitions by about a second.
const PUBLISHED_WITHIN: Duration = Duration::from_mins(1);

/// What kubectl printed of one object, as pairs of column and value. Kubectl aligns columns with three blanks between.
fn table(printed: &str) -> Vec<(&str, &str)> {
    let mut lines = printed
        .lines()
        .map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()));
    let (header, row) = (lines.next(), lines.next());
    header.into_iter().flatten().zip(row.into_iter().flatten()).collect()
}

#[tokio::test]
async fn kubectl_get_shows_at_a_glance_whether_a_user_has_its_token() -> Result<()> {
    let cluster = Cluster::shared("columns").await?;
    let mut user = cluster.create(Kind::User, "token: {scopes: [chat, voip]}").await?;
    user.data["status"] = json!({
        "connection": "ClusterCommunicationConnection/default",
        "identity": {"id": ID},
        "token": {"expirationTime": "2126-11-23T08:00:00Z", "renewalTime": "2126-11-23T00:00:00Z"},
        "secret": {"name": "alice"},
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "TokenIssued", "message": "", "lastTransitionTime": "2026-11-23T08:00:00Z",
        }],
    });
    cluster.update_status(Kind::User, &user).await?.unwrap();

    let control_plane = ControlPlane::shared().await?;
    let narrow = control_plane.kubectl(["get", "acsu", "--namespace", &cluster.namespace])?;
    let age = table(&narrow).last().context("no columns")?.1.to_owned();
    let shown = [
        ("NAME", name(&user)?),
        ("READY", "True"),
        ("REASON", "TokenIssued"),
        ("EXPIRES", "2126-11-23T08:00:00Z"),
        ("SECRET", "alice"),
        ("CONNECTION", "ClusterCommunicationConnection/default"),
        ("AGE", &age),
    ];
    assert_eq!(table(&narrow), shown);

    let wide = control_plane.kubectl(["get", "acsu", "--namespace", &cluster.namespace, "--output", "wide"])?;
    let more = [
        ("IDENTITY", ID),
        ("RENEWS", "2126-11-23T00:00:00Z"),
        ("SCOPES", r#"["chat","voip"]"#),
    ];
    assert_eq!(table(&wide)[shown.len()..], more);
    Ok(())
}

#[tokio::test]
async fn kubectl_get_shows_at_a_glance_whether_a_connection_works() -> Result<()> {
    let cluster = Cluster::shared("columns").await?;
    let mut connection = cluster
        .create(Kind::Connection, "auth: {connectionString: {secretRef: {name: acs}}}")
        .await?;
    connection.data["status"] = json!({
        "endpoint": "https://contoso.communication.azure.com", "authMethod": "connectionString", "users": 3,
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "AccessDenied", "message": "", "lastTransitionTime": "2026-11-23T08:00:00Z",
        }],
    });
    cluster.update_status(Kind::Connection, &connection).await?.unwrap();

    let printed = ControlPlane::shared()
        .await?
        .kubectl(["get", "acsc", "--namespace", &cluster.namespace])?;
    let shown = table(&printed);
    assert_eq!(
        shown[..6],
        [
            ("NAME", name(&connection)?),
            ("READY", "False"),
            ("REASON", "AccessDenied"),
            ("ENDPOINT", "https://contoso.communication.azure.com"),
            ("AUTH", "connectionString"),
            ("USERS", "3"),
        ]
    );
    assert_eq!(
        shown[6..].iter().map(|(header, _)| *header).collect::<Vec<_>>(),
        ["AGE"]
    );
    Ok(())
}

#[tokio::test]
async fn users_are_found_by_their_connection_and_by_their_identity() -> Result<()> {
    let cluster = Cluster::shared("selectors").await?;
    let mut alice = cluster.create(Kind::User, "connectionRef: {name: contoso}").await?;
    let bob = cluster
        .create(
            Kind::User,
            "connectionRef: {kind: ClusterCommunicationConnection, name: fabrikam}",
        )
        .await?;
    alice.data["status"] = json!({"identity": {"id": ID}});
    cluster.update_status(Kind::User, &alice).await?.unwrap();

    let control_plane = ControlPlane::shared().await?;
    for (selector, found) in [
        (format!("status.identity.id={ID}"), &alice),
        ("spec.connectionRef.name=fabrikam".to_owned(), &bob),
        ("spec.connectionRef.kind=CommunicationConnection".to_owned(), &alice),
    ] {
        let arguments = [
            "get",
            "acsu",
            "--namespace",
            &cluster.namespace,
            "--output",
            "name",
            "--field-selector",
            &selector,
        ];
        let printed = control_plane.kubectl(arguments)?;
        let expected = format!("communicationuser.acs-operator.dev/{}\n", name(found)?);
        assert_eq!(printed, expected, "{selector}");
    }
    Ok(())
}

#[tokio::test]
async fn every_kind_is_listed_under_the_categories_acs_and_azure() -> Result<()> {
    let cluster = Cluster::shared("categories").await?;
    let user = cluster.create(Kind::User, "{}").await?;
    let connection = cluster
        .create(Kind::Connection, "auth: {connectionString: {secretRef: {name: acs}}}")
        .await?;
    for category in ["acs", "azure"] {
        let arguments = ["get", category, "--namespace", &cluster.namespace, "--output", "name"];
        let printed = ControlPlane::shared().await?.kubectl(arguments)?;
        for object in [&user, &connection] {
            assert!(printed.contains(name(object)?), "{category}: {printed}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn kubectl_explain_says_what_to_write() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    for (field, says) in [
        (
            "acsu.spec.token.lifetime",
            "1h to 24h in whole minutes, for example 24h, 90m or 1h30m. Default 24h.",
        ),
        (
            "acsu.spec.identity.deletionPolicy",
            "Default: Delete for an identity that the operator created for this object",
        ),
        ("acsc.spec.auth", "exactly one method"),
        ("cacsc.spec.allowedNamespaces.selector", "`{}` selects every namespace"),
    ] {
        let explained = async {
            loop {
                let printed = control_plane.kubectl(["explain", field]).unwrap_or_default();
                if !printed.is_empty() {
                    break printed;
                }
                time::sleep(Duration::from_millis(100)).await;
            }
        };
        let printed = time::timeout(PUBLISHED_WITHIN, explained)
            .await
            .with_context(|| field.to_owned())?;
        let words = printed.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(says), "{field}: {words}");
    }
    Ok(())
}
