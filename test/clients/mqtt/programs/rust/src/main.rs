//! Drives rumqttc.

mod connection;
mod version4;
mod version5;

use connection::Connection;
use std::collections::HashMap;
use std::str::FromStr;
use tokio::io::{AsyncBufReadExt, BufReader};

/// What is said behind a verb.
pub struct Words(HashMap<String, String>);

impl Words {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_string()
    }

    pub fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.get(name).and_then(|text| text.parse().ok())
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.get(name) == Some("1")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tokio::task::LocalSet::new().run_until(serve()).await;
}

async fn serve() {
    println!("ready library=rumqttc release={}", env!("RUMQTTC_RELEASE"));
    let mut connections: HashMap<String, Connection> = HashMap::new();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut said = line.split(' ');
        let id = said.next().unwrap_or_default().to_string();
        let verb = said.next().unwrap_or_default().to_string();
        let pairs = said.filter_map(|word| word.split_once('='));
        let words = Words(pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect());
        let client = words.text("client");
        if verb == "connect" {
            connections.insert(client, Connection::start(id, &words));
        } else if let Err(failure) = connections[&client].carry_out(&id, &verb, &words).await {
            println!("{id} failed {failure}");
        }
    }
}
