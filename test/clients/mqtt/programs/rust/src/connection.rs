//! What the versions of MQTT share: which command an acknowledgement is for.

use crate::{version4, version5, Words};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

/// An event of either version's event loop.
pub enum Happened {
    Connected { session: bool },
    /// A PUBLISH went out; 0 for QoS 0.
    Published(u16),
    SubscribeSent(u16),
    Acknowledged(u16),
    Subscribed { packet_id: u16, granted: bool },
    /// The words of a message behind its client's name.
    Message(String),
    Nothing,
}

pub enum Events {
    Version4(rumqttc::EventLoop),
    Version5(rumqttc::v5::EventLoop, version5::Topics),
}

impl Events {
    async fn next(&mut self) -> Result<Happened, Box<dyn Error>> {
        match self {
            Events::Version4(events) => Ok(version4::happened(events.poll().await?)),
            Events::Version5(events, topics) => Ok(version5::happened(events.poll().await?, topics)),
        }
    }
}

pub enum Client {
    Version4(rumqttc::AsyncClient),
    Version5(version5::Client),
}

/// Commands that are not done yet. The library tells their packet ids when it sends them, in their order.
#[derive(Default)]
struct UnderWay {
    connecting: Option<String>,
    to_publish: VecDeque<String>,
    to_subscribe: VecDeque<String>,
    publishing: HashMap<u16, String>,
    subscribing: HashMap<u16, String>,
    disconnecting: Option<String>,
}

pub struct Connection {
    client: Client,
    under_way: Rc<RefCell<UnderWay>>,
}

impl Connection {
    pub fn start(id: String, words: &Words) -> Connection {
        let (client, events) = match words.get("version") {
            Some("5") => version5::connect(words),
            _ => version4::connect(words),
        };
        let under_way = Rc::new(RefCell::new(UnderWay { connecting: Some(id), ..Default::default() }));
        let connection = Connection { client, under_way: under_way.clone() };
        tokio::task::spawn_local(follow(words.text("client"), events, under_way));
        connection
    }

    pub async fn carry_out(&self, id: &str, verb: &str, words: &Words) -> Result<(), Box<dyn Error>> {
        match verb {
            "publish" => {
                self.under_way.borrow_mut().to_publish.push_back(id.to_string());
                match &self.client {
                    Client::Version4(client) => version4::publish(client, words).await,
                    Client::Version5(client) => version5::publish(client, words).await,
                }
            }
            "subscribe" => {
                self.under_way.borrow_mut().to_subscribe.push_back(id.to_string());
                match &self.client {
                    Client::Version4(client) => version4::subscribe(client, words).await,
                    Client::Version5(client) => version5::subscribe(client, words).await,
                }
            }
            _ => {
                self.under_way.borrow_mut().disconnecting = Some(id.to_string());
                match &self.client {
                    Client::Version4(client) => Ok(client.disconnect().await?),
                    Client::Version5(client) => Ok(client.disconnect().await?),
                }
            }
        }
    }
}

async fn follow(name: String, mut events: Events, under_way: Rc<RefCell<UnderWay>>) {
    loop {
        match events.next().await {
            Ok(happened) => hear(&name, happened, &mut under_way.borrow_mut()),
            Err(_) => {
                if let Some(id) = under_way.borrow_mut().disconnecting.take() {
                    println!("{id} ok");
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

fn hear(name: &str, happened: Happened, under_way: &mut UnderWay) {
    match happened {
        Happened::Connected { session } => {
            println!("connected client={name} session={}", u8::from(session));
            if let Some(id) = under_way.connecting.take() {
                println!("{id} ok");
            }
        }
        Happened::Published(0) => {
            if let Some(id) = under_way.to_publish.pop_front() {
                println!("{id} ok");
            }
        }
        // One that is known is sent again.
        Happened::Published(packet_id) if !under_way.publishing.contains_key(&packet_id) => {
            if let Some(id) = under_way.to_publish.pop_front() {
                under_way.publishing.insert(packet_id, id);
            }
        }
        Happened::SubscribeSent(packet_id) => {
            if let Some(id) = under_way.to_subscribe.pop_front() {
                under_way.subscribing.insert(packet_id, id);
            }
        }
        Happened::Acknowledged(packet_id) => {
            if let Some(id) = under_way.publishing.remove(&packet_id) {
                println!("{id} ok");
            }
        }
        Happened::Subscribed { packet_id, granted } => {
            if let Some(id) = under_way.subscribing.remove(&packet_id) {
                println!("{id} {}", if granted { "ok" } else { "failed refused" });
            }
        }
        Happened::Message(words) => println!("message client={name} {words}"),
        Happened::Published(_) | Happened::Nothing => {}
    }
}
