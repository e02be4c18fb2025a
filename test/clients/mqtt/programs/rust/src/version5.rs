//! MQTT 5 by rumqttc.

use crate::connection::{self, Events, Happened};
use crate::Words;
use rumqttc::v5::mqttbytes::v5::{
    LastWill, LastWillProperties, Packet, Publish, PublishProperties, SubscribeProperties, SubscribeReasonCode,
};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use rumqttc::{Outgoing, Transport};
use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;

const PACKET_BYTES_MAX: u32 = 4 * 1024 * 1024;
const REQUESTS_MAX: usize = 1000;

pub struct Client {
    client: AsyncClient,
    /// The aliases that topics have been given, where they go by alias.
    aliases: Option<RefCell<HashMap<String, u16>>>,
}

impl Client {
    pub async fn disconnect(&self) -> Result<(), Box<dyn Error>> {
        Ok(self.client.disconnect().await?)
    }

    /// What to send as topic, and the alias.
    fn named(&self, topic: String) -> (String, Option<u16>) {
        let Some(aliases) = &self.aliases else { return (topic, None) };
        let mut aliases = aliases.borrow_mut();
        if let Some(alias) = aliases.get(&topic) {
            return (String::new(), Some(*alias));
        }
        let alias = aliases.len() as u16 + 1;
        aliases.insert(topic.clone(), alias);
        (topic, Some(alias))
    }
}

fn qos(words: &Words, name: &str) -> QoS {
    match words.number(name).unwrap_or(0) {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

pub fn connect(words: &Words) -> (connection::Client, Events) {
    let port: u16 = words.number("port").unwrap_or(1883);
    let mut options = if words.is_set("websocket") {
        let mut options = MqttOptions::new(words.text("id"), format!("ws://127.0.0.1:{port}/mqtt"), port);
        options.set_transport(Transport::Ws);
        options
    } else {
        MqttOptions::new(words.text("id"), "127.0.0.1", port)
    };
    options.set_clean_start(words.is_set("clean"));
    options.set_max_packet_size(Some(PACKET_BYTES_MAX));
    options.set_session_expiry_interval(words.number("expiry"));
    options.set_topic_alias_max(words.number("aliases"));
    if let Some(topic) = words.get("willTopic") {
        let properties = LastWillProperties {
            delay_interval: words.number("willDelay"),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: vec![],
        };
        let will = LastWill::new(topic, words.text("willPayload"), qos(words, "willQos"), false, Some(properties));
        options.set_last_will(will);
    }
    let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
    let aliases = words.is_set("byAlias").then(RefCell::default);
    (connection::Client::Version5(Client { client, aliases }), Events::Version5(events, Topics::default()))
}

pub async fn publish(client: &Client, words: &Words) -> Result<(), Box<dyn Error>> {
    let (topic, topic_alias) = client.named(words.text("topic"));
    let properties = PublishProperties {
        topic_alias,
        response_topic: words.get("response").map(str::to_string),
        correlation_data: words.get("correlation").map(|text| text.to_string().into()),
        ..Default::default()
    };
    let retain = words.is_set("retain");
    let payload = words.text("payload");
    Ok(client.client.publish_with_properties(topic, qos(words, "qos"), retain, payload, properties).await?)
}

pub async fn subscribe(client: &Client, words: &Words) -> Result<(), Box<dyn Error>> {
    let properties = SubscribeProperties { id: words.number("identifier"), user_properties: vec![] };
    Ok(client.client.subscribe_with_properties(words.text("filter"), qos(words, "qos"), properties).await?)
}

/// Of a connection: topics by their aliases. The library hands messages on without.
#[derive(Default)]
pub struct Topics(HashMap<u16, String>);

impl Topics {
    fn of(&mut self, publish: &Publish) -> String {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let Some(alias) = publish.properties.as_ref().and_then(|properties| properties.topic_alias) else { return topic };
        if !topic.is_empty() {
            self.0.insert(alias, topic);
        }
        self.0.get(&alias).cloned().unwrap_or_default()
    }
}

fn message(topic: &str, publish: &Publish) -> String {
    let mut words = format!(
        "topic={topic} qos={} retain={} payload={}",
        publish.qos as u8,
        u8::from(publish.retain),
        String::from_utf8_lossy(&publish.payload)
    );
    if let Some(properties) = &publish.properties {
        let ids: Vec<String> = properties.subscription_identifiers.iter().map(usize::to_string).collect();
        if !ids.is_empty() {
            words += &format!(" ids={}", ids.join(","));
        }
        if let Some(response) = &properties.response_topic {
            words += &format!(" response={response}");
        }
        if let Some(correlation) = &properties.correlation_data {
            words += &format!(" correlation={}", String::from_utf8_lossy(correlation));
        }
    }
    words
}

pub fn happened(event: Event, topics: &mut Topics) -> Happened {
    match event {
        Event::Incoming(Packet::ConnAck(connack)) => Happened::Connected { session: connack.session_present },
        Event::Incoming(Packet::PubAck(ack)) => Happened::Acknowledged(ack.pkid),
        Event::Incoming(Packet::PubComp(ack)) => Happened::Acknowledged(ack.pkid),
        Event::Incoming(Packet::SubAck(ack)) => Happened::Subscribed {
            packet_id: ack.pkid,
            granted: matches!(ack.return_codes[0], SubscribeReasonCode::Success(_)),
        },
        Event::Incoming(Packet::Publish(publish)) => Happened::Message(message(&topics.of(&publish), &publish)),
        Event::Outgoing(Outgoing::Publish(packet_id)) => Happened::Published(packet_id),
        Event::Outgoing(Outgoing::Subscribe(packet_id)) => Happened::SubscribeSent(packet_id),
        _ => Happened::Nothing,
    }
}
