//! Someone who types what a page says, one command after the other.
//!
//! There is no kubelet in the control plane, so the test plays one: it runs the operator as the stored Deployment says, with its
//! arguments, its environment and its account.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use acs_operator_testbed::{CEILING, ControlPlane, Process, Signal};
use serde_json::{Value, json};

use super::path;

const NAMESPACE: &str = "acs-operator-system";

/// Someone with a shell, a fresh cluster and an ACS resource.
pub(super) struct Reader {
    pub(super) control_plane: ControlPlane,
    /// What is pasted to whatever reads, one after the other.
    pub(super) pasted: Vec<String>,
    files: tempfile::TempDir,
    operator: Option<(Value, Process)>,
}

impl Reader {
    pub(super) fn new(pasted: Vec<String>) -> Self {
        Self {
            control_plane: ControlPlane::start().unwrap(),
            pasted,
            files: tempfile::TempDir::new().unwrap(),
            operator: None,
        }
    }

    /// Runs commands in the repository, and pastes to whatever reads; returns what they printed.
    pub(super) fn types(&self, commands: &str) -> String {
        let kubectl = self.control_plane.kubectl_program().parent().unwrap().to_owned();
        let mut search = vec![kubectl];
        search.extend(std::env::split_paths(&path_of_this_process()));
        let mut shell = Command::new("bash")
            .args(["-eu", "-o", "pipefail", "-c", commands])
            .current_dir(path("."))
            .env("PATH", std::env::join_paths(search).unwrap())
            .env("KUBECONFIG", self.control_plane.kubeconfig())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = writeln!(shell.stdin.take().unwrap(), "{}", self.pasted.join("\n"));
        let output = shell.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (printed, complaints) = (text(output.stdout), text(output.stderr));
        assert!(
            output.status.success(),
            "{commands}\nprinted {printed}\nand {complaints}\n{}",
            self.log()
        );
        printed
    }

    /// Starts the operator when its Deployment is new, starts it again when the Deployment changed, ends it when that is gone.
    pub(super) fn plays_kubelet(&mut self) {
        let Some(container) = self.container() else {
            self.operator = None;
            return;
        };
        if self.operator.as_ref().is_some_and(|(running, _)| *running == container) {
            return;
        }
        // A rolling update, of one replica here: the old one is asked to end once there is a new one.
        let process = self.run(&container);
        if let Some((_, old)) = self.operator.replace((container, process)) {
            old.signal(Signal::SIGTERM).unwrap();
            let deadline = Instant::now() + CEILING;
            while old.is_running() {
                assert!(
                    Instant::now() < deadline,
                    "the old operator does not end:\n{}",
                    self.log()
                );
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn container(&self) -> Option<Value> {
        let read = [
            "-n",
            NAMESPACE,
            "get",
            "deployment",
            "acs-operator",
            "-o",
            "json",
            "--ignore-not-found",
        ];
        let text = self.control_plane.kubectl(read).unwrap();
        let deployment: Value = serde_json::from_str(&text).ok()?;
        Some(deployment["spec"]["template"]["spec"]["containers"][0].clone())
    }

    fn run(&self, container: &Value) -> Process {
        let mut operator = Command::new(env!("CARGO_BIN_EXE_acs-operator"));
        operator.args(
            container["args"]
                .as_array()
                .unwrap()
                .iter()
                .map(|argument| argument.as_str().unwrap()),
        );
        operator.env_clear().envs(self.environment(container));
        operator.env("KUBECONFIG", self.account());
        // What the machine of the test makes different: ports are shared, and its ACS is an emulator.
        operator
            .env("ACS_OPERATOR_ADMIN_LISTEN", "127.0.0.1:0")
            .env("ACS_OPERATOR_ALLOW_INSECURE_ENDPOINTS", "true");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        operator.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Process::spawn("acs-operator", operator).unwrap()
    }

    /// The container's variables with their values.
    fn environment(&self, container: &Value) -> BTreeMap<String, String> {
        let variables = container["env"].as_array().unwrap().iter();
        let value = |variable: &Value| match (&variable["value"], &variable["valueFrom"]) {
            (Value::String(value), _) => Some(value.clone()),
            (_, from) if from["fieldRef"]["fieldPath"] == "metadata.namespace" => Some(NAMESPACE.to_owned()),
            (_, from) => self.secret_value(&from["secretKeyRef"]),
        };
        variables
            .filter_map(|variable| Some((variable["name"].as_str()?.to_owned(), value(variable)?)))
            .collect()
    }

    fn secret_value(&self, reference: &Value) -> Option<String> {
        let (name, key) = (reference["name"].as_str().unwrap(), reference["key"].as_str().unwrap());
        let template = format!("go-template={{{{with .data}}}}{{{{index . {key:?} | base64decode}}}}{{{{end}}}}");
        let read = [
            "-n",
            NAMESPACE,
            "get",
            "secret",
            name,
            "-o",
            &template,
            "--ignore-not-found",
        ];
        let value = self.control_plane.kubectl(read).unwrap();
        assert!(
            !value.is_empty() || reference["optional"] == true,
            "the pod could not start: no Secret {name}"
        );
        Some(value).filter(|value| !value.is_empty())
    }

    /// A kubeconfig with a token of the operator's account.
    fn account(&self) -> PathBuf {
        let token = self
            .control_plane
            .kubectl(["-n", NAMESPACE, "create", "token", "acs-operator"])
            .unwrap();
        let admin = self
            .control_plane
            .kubectl(["config", "view", "--raw", "-o", "json"])
            .unwrap();
        let mut kubeconfig: Value = serde_json::from_str(&admin).unwrap();
        for user in kubeconfig["users"].as_array_mut().unwrap() {
            user["user"] = json!({"token": token.trim()});
        }
        let file = self.files.path().join("kubeconfig");
        fs::write(&file, kubeconfig.to_string()).unwrap();
        file
    }

    fn log_path(&self) -> PathBuf {
        self.files.path().join("operator.log")
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the reader's shell finds its programs where ours does"
)]
fn path_of_this_process() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}
