//! The operator, under the rights that it is shipped with.

use std::path::Path;

use acs_operator_testbed::{
    ControlPlane, EmulatorProcess, Operator, OperatorLog, OperatorSettings,
    account::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE},
};
use anyhow::{Context, Result};

use crate::{
    screen::Screen,
    shell::Shell,
    stage::{Stage, program},
};

/// The lifetime of tokens here, so that a renewal can be watched.
const TOKEN_TTL: &str = "--token-ttl=30s";

pub async fn tell(screen: &Screen, control_plane: ControlPlane) -> Result<Stage<'_>> {
    screen.chapter("The operator")?;
    screen.say("Installed as in any cluster: definitions, rights, policy, Deployment.")?;
    let shell = Shell::new(&control_plane);
    shell.run(screen, "kubectl apply -k deploy").await?;

    let client = control_plane.client().await?;
    let kubeconfig = control_plane.kubeconfig();
    // The control plane's directory is removed when it ends, however this process ends.
    let directory = kubeconfig.parent().context("the kubeconfig is in no directory")?;
    screen.say(
        "acs-emulator plays Azure: it checks every signature and every limit as ACS does. Its tokens live 30 s\n\
         instead of a day, so that you can watch a renewal.",
    )?;
    let arguments = [TOKEN_TTL];
    let emulator =
        EmulatorProcess::start(&program("acs-emulator")?, &arguments, &directory.join("emulator.log")).await?;
    let operator = start(&control_plane, &emulator, directory).await?;
    screen.say(format_args!(
        "acs-operator is ready. No node runs its Deployment, so it is a process here, but with the rights of\n\
         the ServiceAccount {OPERATOR_NAMESPACE}/{OPERATOR_ACCOUNT} and nothing else."
    ))?;
    Ok(Stage {
        screen,
        shell,
        client,
        operator,
        emulator,
        control_plane,
    })
}

async fn start(control_plane: &ControlPlane, emulator: &EmulatorProcess, directory: &Path) -> Result<Operator> {
    let kubeconfig = directory.join("operator.kubeconfig");
    control_plane.write_operator_kubeconfig(&kubeconfig)?;
    let mut operator = Operator::start(OperatorSettings {
        binary: program("acs-operator")?,
        kubeconfig,
        namespace: Some(OPERATOR_NAMESPACE.to_owned()),
        connection_string: Some(emulator.connection_string().to_owned()),
        arguments: vec!["--default-connection-namespaces=*".to_owned()],
        environment: Vec::new(),
        log: OperatorLog::Readable(directory.to_owned()),
    })?;
    operator.ready().await?;
    Ok(operator)
}
