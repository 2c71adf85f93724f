//! Any rpc by its name, with any bytes: what the descriptor set lists can be called without a client for it.

use anyhow::{Context as _, Result};
use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};
use wire::common::Caller;

/// One rpc of the descriptor set.
#[derive(Clone, Debug)]
pub struct Rpc {
    /// `/package.Service/Method`.
    pub path: String,
    /// The number of the field `caller` in its request, if there is one.
    caller: Option<i32>,
}

impl Rpc {
    /// All there are; reflection and health are not among them.
    ///
    /// # Errors
    /// If the descriptor set cannot be read.
    pub fn all() -> Result<Vec<Self>> {
        let set = FileDescriptorSet::decode(wire::DESCRIPTOR_SET)?;
        let mut all = Vec::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    let input = method.input_type().rsplit('.').next().context("an input type")?;
                    let message = file.message_type.iter().find(|message| message.name() == input);
                    let message = message.with_context(|| format!("{input} is not in its file"))?;
                    let caller = message.field.iter().find(|field| field.name() == "caller");
                    all.push(Self { path, caller: caller.map(prost_types::FieldDescriptorProto::number) });
                }
            }
        }
        Ok(all)
    }

    /// The name alone.
    pub fn method(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// A request that says who asks, and nothing else; `None` where it cannot.
    pub fn request_by(&self, caller: &Caller) -> Option<Bytes> {
        let key = (u32::try_from(self.caller?).ok()? << 3) | 2;
        let mut message = Vec::new();
        prost::encoding::encode_varint(u64::from(key), &mut message);
        caller.encode_length_delimited(&mut message).ok()?;
        Some(message.into())
    }
}

/// Calls and reads the first message of the answer.
///
/// # Errors
/// What it is refused with.
pub async fn call(channel: &Channel, path: &str, secret: Option<&str>, message: Bytes) -> Result<(), Status> {
    let mut request = Request::new(message);
    if let Some(secret) = secret {
        let value = format!("Bearer {secret}").parse().map_err(|_| Status::internal("not a header value"))?;
        request.metadata_mut().insert("authorization", value);
    }
    let path: PathAndQuery = path.parse().map_err(|_| Status::internal("not a path"))?;
    let mut client = Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    // To the wire a unary call is a stream of one.
    let mut answers = client.server_streaming(request, path, Raw).await?.into_inner();
    answers.message().await.map(drop)
}

#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
