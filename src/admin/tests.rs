use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use super::*;
use crate::clock::Clock;

struct Served {
    address: SocketAddr,
    readiness: Readiness,
    stop: CancellationToken,
    task: JoinHandle<Result<(), AdminError>>,
}

async fn bind(address: SocketAddr, readiness: &Readiness) -> Result<AdminServer, AdminError> {
    AdminServer::bind(address, readiness.clone(), Metrics::new(Clock::system())).await
}

async fn serve() -> Served {
    let (readiness, stop) = (Readiness::default(), CancellationToken::new());
    let server = bind("127.0.0.1:0".parse().unwrap(), &readiness).await.unwrap();
    let address = server.address();
    let task = tokio::spawn(server.serve(stop.clone()));
    Served {
        address,
        readiness,
        stop,
        task,
    }
}

impl Served {
    /// The whole answer to a GET.
    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

#[tokio::test]
async fn readyz_names_what_is_missing_until_nothing_is() {
    let served = serve().await;
    let crds = served
        .readiness
        .gate("crds", "CommunicationUser is not installed: kubectl apply -k deploy");
    let watch = served.readiness.gate("watch Secret", "not listed yet");

    let answer = served.get("/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.ends_with(
            "crds: CommunicationUser is not installed: kubectl apply -k deploy\nwatch Secret: not listed yet\n"
        ),
        "{answer}"
    );

    crds.open();
    watch.open();
    let answer = served.get("/readyz").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"),
        "{answer}"
    );

    watch.close("403 Forbidden since 30 s");
    let answer = served.get("/readyz").await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.ends_with("watch Secret: 403 Forbidden since 30 s\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn livez_answers_whatever_is_missing() {
    let served = serve().await;
    let _gate = served.readiness.gate("crds", "missing");
    let answer = served.get("/livez").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn metrics_are_served_as_openmetrics() {
    let answer = serve().await.get("/metrics").await;
    assert!(
        answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("acs_operator_build_info{") && answer.ends_with("# EOF\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_the_flag() {
    let served = serve().await;
    let Err(error) = bind(served.address, &Readiness::default()).await else {
        panic!("the port was taken twice")
    };
    let text = error.to_string();
    assert!(
        text.contains(&served.address.to_string()) && text.contains("in use") && text.contains("--admin-listen"),
        "{text}"
    );
}

#[tokio::test]
async fn after_the_stop_a_client_that_never_finishes_its_request_holds_nothing_up() {
    let served = serve().await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    // Its turn has come when a later connection was answered.
    served.get("/livez").await;

    served.stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), served.task)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(TcpStream::connect(served.address).await.is_err(), "the port is closed");
}
