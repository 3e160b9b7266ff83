//! A team with an ACS resource of its own, one key of which is regenerated.

use std::fs;

use acs_emulator::{AccessKey, KeySlot};
use acs_operator::api::CommunicationConnection;
use acs_operator_testbed::{EmulatorProcess, message, ready};
use anyhow::{Context, Result, ensure};
use kube::Api;

use crate::stage::{NAMESPACE, Stage, program};

pub async fn tell(stage: &Stage<'_>) -> Result<()> {
    stage.screen.chapter("An ACS resource of a team, and a new key")?;
    stage.say(
        "Until now everyone had the connection of the operator's environment. A second emulator is an ACS resource of\n\
         this team. Its two connection strings are in a file, which goes into a Secret:",
    )?;
    let contoso = another_emulator(stage).await?;
    write_credentials(stage, &contoso).await?;
    stage
        .run("kubectl -n contact-center create secret generic contoso --from-env-file=\"$CREDENTIALS\"")
        .await?;
    stage
        .run(
            "kubectl apply -f deploy/samples/connections/connection-strings.yaml -f deploy/samples/connections/user.yaml",
        )
        .await?;
    stage
        .run("kubectl -n contact-center wait --for=condition=Ready --timeout=60s acsc/contoso acsu/agent-1")
        .await?;
    stage.run("kubectl -n contact-center get acsc").await?;
    let identities = contoso.identities().await?;
    ensure!(identities.len() == 1, "the second emulator has {identities:?}");

    stage.say("Somebody regenerates the first key in Azure, and then a new token is due:")?;
    contoso.replace_key(KeySlot::Primary, &AccessKey::generate()?).await?;
    stage
        .run("kubectl -n contact-center annotate acsu agent-1 acs-operator.dev/renew-requested-at=\"now\"")
        .await?;
    second_key_takes_over(stage).await?;
    stage
        .run("kubectl -n contact-center get acsc contoso -o jsonpath='{.status.conditions[0].message}{\"\\n\"}'")
        .await?;
    stage.run("kubectl -n contact-center get acsu agent-1").await?;
    stage.say(
        "The second key serves until the new one is in the Secret. Everything of this team goes, in whatever order it is\n\
         deleted: the identity first, then what was needed for that.",
    )?;
    stage
        .run("kubectl -n contact-center delete secret/contoso acsc/contoso acsu/agent-1")
        .await?;
    let identities = contoso.identities().await?;
    ensure!(identities.is_empty(), "the second emulator still has {identities:?}");
    Ok(())
}

async fn another_emulator(stage: &Stage<'_>) -> Result<EmulatorProcess> {
    let log = stage.shell.credentials.with_file_name("contoso.log");
    EmulatorProcess::start(&program("acs-emulator")?, &[], &log).await
}

/// The emulator announces its first key only, so it is given another second one.
async fn write_credentials(stage: &Stage<'_>, contoso: &EmulatorProcess) -> Result<()> {
    let second_key = AccessKey::generate()?;
    contoso.replace_key(KeySlot::Secondary, &second_key).await?;
    let primary = contoso.connection_string();
    let (endpoint, _) = primary
        .split_once("accesskey=")
        .context("a connection string without a key")?;
    let secondary = format!("{endpoint}accesskey={}", second_key.text());
    let lines = format!("primaryConnectionString={primary}\nsecondaryConnectionString={secondary}\n");
    // It lies beside the kubeconfig, in a directory that only this user can read.
    fs::write(&stage.shell.credentials, lines)?;
    Ok(())
}

async fn second_key_takes_over(stage: &Stage<'_>) -> Result<()> {
    let connections: Api<CommunicationConnection> = Api::namespaced(stage.client.clone(), NAMESPACE);
    stage
        .until("word of the refused key", async || {
            let contoso = connections.get("contoso").await?;
            Ok(message(&contoso).contains("refused").then_some(()))
        })
        .await?;
    let agent = stage
        .until("new token of agent-1", async || {
            let agent = stage.users().get("agent-1").await?;
            let handled = agent
                .status
                .as_ref()
                .and_then(|status| status.last_handled_renew_at.as_deref());
            Ok((handled == Some("now")).then_some(agent))
        })
        .await?;
    let (is_ready, reason) = ready(&agent).context("agent-1 has no condition")?;
    ensure!(is_ready == "True", "agent-1 is not ready: {reason}");
    Ok(())
}
