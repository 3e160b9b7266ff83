//! Puts an answer on a connection: whole, cut in the middle, or not at all.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame, SizeHint};

use crate::answer::{Answer, Framing};
use crate::exchange::Delivery;

/// Ends a connection. To the client it looks like a lost peer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose")]
pub(crate) struct Cut;

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A body of one piece, after which the connection may be cut.
pub(crate) struct AnswerBody {
    piece: Option<Bytes>,
    framing: Framing,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Regular,
    /// Cut, but first let what was written be sent.
    CutAfterFlush,
    CutNow,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(piece) = self.piece.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match self.end {
            End::Regular => Poll::Ready(None),
            // hyper sends what it has buffered whenever the body has nothing ready, and throws it away on an error.
            End::CutAfterFlush => {
                self.end = End::CutNow;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            End::CutNow => Poll::Ready(Some(Err(Cut))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_none() && self.end == End::Regular
    }

    fn size_hint(&self) -> SizeHint {
        match (self.framing, &self.piece) {
            (Framing::Sized, Some(piece)) if self.end == End::Regular => SizeHint::with_exact(piece.len() as u64),
            (Framing::Sized, None) if self.end == End::Regular => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}

/// The response, or the error that makes the server drop the connection.
pub(crate) fn deliver(delivery: Delivery) -> Result<Response<AnswerBody>, Cut> {
    match delivery {
        Delivery::Cut => Err(Cut),
        Delivery::Whole(answer) => Ok(response(answer, End::Regular)),
        Delivery::Half(answer) => Ok(response(halved(answer), End::CutAfterFlush)),
    }
}

/// Promises the whole body and holds the first half.
fn halved(mut answer: Answer) -> Answer {
    // An empty body is cut off as well: the client waits for a byte that never comes.
    let promised = answer.body.len().max(1);
    answer
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(promised));
    answer.framing = Framing::Sized;
    answer.body.truncate(promised / 2);
    answer
}

fn response(answer: Answer, end: End) -> Response<AnswerBody> {
    let piece = (!answer.body.is_empty()).then_some(answer.body);
    let framing = if piece.is_none() {
        Framing::Sized
    } else {
        answer.framing
    };
    let mut response = Response::new(AnswerBody { piece, framing, end });
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}
