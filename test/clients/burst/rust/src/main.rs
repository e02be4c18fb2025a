//! PORT VERSION TOPIC COUNT: rumqttc publishes COUNT messages of QoS 2, as many at a time as it may.

use rumqttc::{v5, AsyncClient, Event, MqttOptions, Packet, QoS};
use std::error::Error;
use std::time::Duration;

async fn version4(port: u16, topic: String, count: usize) -> Result<usize, Box<dyn Error>> {
    let mut options = MqttOptions::new("rumqttc-4", "127.0.0.1", port);
    options.set_inflight(count as u16);
    let (client, mut events) = AsyncClient::new(options, 2 * count);
    for i in 0..count {
        client.publish(&topic, QoS::ExactlyOnce, false, i.to_string()).await?;
    }
    let (mut done, mut connections) = (0, 0);
    while done < count {
        match events.poll().await? {
            Event::Incoming(Packet::ConnAck(_)) => connections += 1,
            Event::Incoming(Packet::PubComp(_)) => done += 1,
            _ => {}
        }
    }
    Ok(connections)
}

async fn version5(port: u16, topic: String, count: usize) -> Result<usize, Box<dyn Error>> {
    use v5::mqttbytes::{v5::Packet, QoS};
    let options = v5::MqttOptions::new("rumqttc-5", "127.0.0.1", port);
    let (client, mut events) = v5::AsyncClient::new(options, 2 * count);
    for i in 0..count {
        client.publish(&topic, QoS::ExactlyOnce, false, i.to_string()).await?;
    }
    let (mut done, mut connections) = (0, 0);
    while done < count {
        match events.poll().await? {
            v5::Event::Incoming(Packet::ConnAck(_)) => connections += 1,
            v5::Event::Incoming(Packet::PubComp(_)) => done += 1,
            _ => {}
        }
    }
    Ok(connections)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let (port, topic, count) = (args[1].parse()?, args[3].clone(), args[4].parse()?);
    let burst = async {
        match args[2].as_str() {
            "4" => version4(port, topic, count).await,
            _ => version5(port, topic, count).await,
        }
    };
    let connections = tokio::time::timeout(Duration::from_secs(60), burst).await??;
    println!("{count} done on {connections} connections");
    Ok(())
}
