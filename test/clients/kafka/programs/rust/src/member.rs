//! A member of a group: it reads in a thread of its own until it leaves.

use crate::{Failure, Words};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::ClientConfig;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{spawn, JoinHandle};
use std::time::Duration;

pub struct Member {
    seen: Arc<Mutex<Vec<String>>>,
    is_ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

fn told(message: &BorrowedMessage) -> String {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let header = message.headers().and_then(|headers| headers.get(0).value);
    format!("{}/{}/{}", text(message.key()), text(message.payload()), text(header))
}

impl Member {
    pub fn join(brokers: &str, words: &Words) -> Result<Member, Failure> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", words.get("group"))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            // A pattern is looked up when the metadata is.
            .set("topic.metadata.refresh.interval.ms", "1000")
            .create()?;
        let pattern = words.get("pattern");
        consumer.subscribe(&[if pattern.is_empty() { words.get("topic") } else { pattern }])?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let is_ending = Arc::new(AtomicBool::new(false));
        let (own_seen, own_is_ending) = (seen.clone(), is_ending.clone());
        let thread = spawn(move || {
            while !own_is_ending.load(Ordering::Relaxed) {
                if let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) {
                    own_seen.lock().unwrap().push(told(&message));
                    let _ = consumer.commit_message(&message, CommitMode::Sync);
                }
            }
        });
        Ok(Member { seen, is_ending, thread })
    }

    /// All that it has read.
    pub fn seen(&self) -> String {
        self.seen.lock().unwrap().join(",")
    }

    pub fn leave(self) {
        self.is_ending.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}
