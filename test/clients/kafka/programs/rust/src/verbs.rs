//! What is asked of no member.

use crate::{Failure, Words};
use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Counts what is acknowledged.
#[derive(Clone, Default)]
struct Acknowledged(Arc<AtomicI64>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &rdkafka::producer::DeliveryResult, (): ()) {
        if result.is_ok() {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

type Writer = ThreadedProducer<Acknowledged>;

pub struct Verbs<'a> {
    pub brokers: &'a str,
    admin: AdminClient<DefaultClientContext>,
    reader: BaseConsumer,
}

impl<'a> Verbs<'a> {
    pub fn new(brokers: &'a str) -> Result<Verbs<'a>, Failure> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", "unused");
        Ok(Verbs { brokers, admin: config.create()?, reader: config.create()? })
    }

    pub fn carry_out(&self, verb: &str, words: &Words) -> Result<String, Failure> {
        let topic = words.get("topic");
        match verb {
            "metadata" => {
                let metadata = self.reader.fetch_metadata(Some(topic), TIMEOUT)?;
                return Ok(format!(" partitions={}", metadata.topics()[0].partitions().len()));
            }
            "produce" => self.produce(words)?,
            "transact" => self.transact(words)?,
            "create" => {
                let partitions = words.number("partitions") as i32;
                let topics = [NewTopic::new(topic, partitions, TopicReplication::Fixed(1))];
                one(block_on(self.admin.create_topics(&topics, &AdminOptions::new()))?)?;
            }
            "alter" => {
                let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(words.get("name"), words.get("value"));
                one(block_on(self.admin.alter_configs(&[change], &AdminOptions::new()))?)?;
            }
            "describe" => return self.describe(words),
            "delete" => {
                one(block_on(self.admin.delete_topics(&[topic], &AdminOptions::new()))?)?;
            }
            "offset" => {
                let mut asked = TopicPartitionList::new();
                asked.add_partition_offset(topic, 0, Offset::Offset(words.number("time")))?;
                let found = self.reader.offsets_for_times(asked, TIMEOUT)?;
                let offset = found.elements()[0].offset().to_raw().ok_or("no offset")?;
                return Ok(format!(" offset={offset}"));
            }
            _ => return Err(format!("there is no verb {verb}").into()),
        }
        Ok(String::new())
    }

    fn produce(&self, words: &Words) -> Result<(), Failure> {
        let is_idempotent = if words.get("idempotent") == "1" { "true" } else { "false" };
        let mut config = ClientConfig::new();
        config.set("compression.type", words.get("codec")).set("enable.idempotence", is_idempotent).set("linger.ms", "50");
        let acknowledged = Acknowledged::default();
        send(&self.writer(&mut config, &acknowledged)?, &acknowledged, words)
    }

    fn transact(&self, words: &Words) -> Result<(), Failure> {
        let acknowledged = Acknowledged::default();
        let writer = self.writer(ClientConfig::new().set("transactional.id", words.get("id")), &acknowledged)?;
        writer.init_transactions(TIMEOUT)?;
        writer.begin_transaction()?;
        send(&writer, &acknowledged, words)?;
        match words.get("end") {
            "commit" => Ok(writer.commit_transaction(TIMEOUT)?),
            _ => Ok(writer.abort_transaction(TIMEOUT)?),
        }
    }

    fn writer(&self, config: &mut ClientConfig, acknowledged: &Acknowledged) -> Result<Writer, Failure> {
        Ok(config.set("bootstrap.servers", self.brokers).create_with_context(acknowledged.clone())?)
    }

    fn describe(&self, words: &Words) -> Result<String, Failure> {
        let resources = [ResourceSpecifier::Topic(words.get("topic"))];
        let found = block_on(self.admin.describe_configs(&resources, &AdminOptions::new()))?;
        let resource = found.into_iter().next().ok_or("no answer")??;
        let entry = resource.get(words.get("name")).ok_or("no such setting")?;
        Ok(format!(" value={}", entry.value.clone().unwrap_or_default()))
    }
}

/// The only result of a list of them.
fn one<A, N: std::fmt::Debug>(results: Vec<Result<A, (N, rdkafka::types::RDKafkaErrorCode)>>) -> Result<A, Failure> {
    let result = results.into_iter().next().ok_or("no answer")?;
    result.map_err(|(name, code)| format!("{name:?}: {code}").into())
}

fn send(writer: &Writer, acknowledged: &Acknowledged, words: &Words) -> Result<(), Failure> {
    let count = words.number("count");
    for i in 0..count {
        let (key, value) = (format!("k{i}"), format!("{}{i}", words.get("prefix")));
        let headers = OwnedHeaders::new().insert(Header { key: "source", value: Some("matrix") });
        let record = BaseRecord::to(words.get("topic")).key(&key).payload(&value).headers(headers);
        writer.send(record).map_err(|(failure, _)| failure)?;
    }
    writer.flush(TIMEOUT)?;
    match acknowledged.0.load(Ordering::SeqCst) {
        all if all == count => Ok(()),
        some => Err(format!("{some} of {count} were acknowledged").into()),
    }
}
