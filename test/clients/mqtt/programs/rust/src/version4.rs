//! MQTT 3.1.1 by rumqttc.

use crate::connection::{Client, Events, Happened};
use crate::Words;
use rumqttc::{AsyncClient, Event, LastWill, MqttOptions, Outgoing, Packet, QoS, SubscribeReasonCode, Transport};
use std::error::Error;

const PACKET_BYTES_MAX: usize = 4 * 1024 * 1024;
const REQUESTS_MAX: usize = 1000;

fn qos(words: &Words, name: &str) -> QoS {
    rumqttc::qos(words.number(name).unwrap_or(0)).unwrap_or(QoS::AtMostOnce)
}

pub fn connect(words: &Words) -> (Client, Events) {
    let port: u16 = words.number("port").unwrap_or(1883);
    let mut options = if words.is_set("websocket") {
        let mut options = MqttOptions::new(words.text("id"), format!("ws://127.0.0.1:{port}/mqtt"), port);
        options.set_transport(Transport::Ws);
        options
    } else {
        MqttOptions::new(words.text("id"), "127.0.0.1", port)
    };
    options.set_clean_session(words.is_set("clean"));
    options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
    if let Some(topic) = words.get("willTopic") {
        options.set_last_will(LastWill::new(topic, words.text("willPayload"), qos(words, "willQos"), false));
    }
    let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
    (Client::Version4(client), Events::Version4(events))
}

pub async fn publish(client: &AsyncClient, words: &Words) -> Result<(), Box<dyn Error>> {
    let retain = words.is_set("retain");
    Ok(client.publish(words.text("topic"), qos(words, "qos"), retain, words.text("payload")).await?)
}

pub async fn subscribe(client: &AsyncClient, words: &Words) -> Result<(), Box<dyn Error>> {
    Ok(client.subscribe(words.text("filter"), qos(words, "qos")).await?)
}

pub fn happened(event: Event) -> Happened {
    match event {
        Event::Incoming(Packet::ConnAck(connack)) => Happened::Connected { session: connack.session_present },
        Event::Incoming(Packet::PubAck(ack)) => Happened::Acknowledged(ack.pkid),
        Event::Incoming(Packet::PubComp(ack)) => Happened::Acknowledged(ack.pkid),
        Event::Incoming(Packet::SubAck(ack)) => Happened::Subscribed {
            packet_id: ack.pkid,
            granted: matches!(ack.return_codes[0], SubscribeReasonCode::Success(_)),
        },
        Event::Incoming(Packet::Publish(publish)) => Happened::Message(format!(
            "topic={} qos={} retain={} payload={}",
            publish.topic,
            publish.qos as u8,
            u8::from(publish.retain),
            String::from_utf8_lossy(&publish.payload)
        )),
        Event::Outgoing(Outgoing::Publish(packet_id)) => Happened::Published(packet_id),
        Event::Outgoing(Outgoing::Subscribe(packet_id)) => Happened::SubscribeSent(packet_id),
        _ => Happened::Nothing,
    }
}
