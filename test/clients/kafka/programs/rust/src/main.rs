//! Drives rdkafka, Rust's librdkafka: commands are read and answered, as ../../../scenarios.ts has them.

mod member;
mod verbs;

use member::Member;
use std::collections::HashMap;
use std::io::BufRead;
use verbs::Verbs;

pub type Failure = Box<dyn std::error::Error>;

/// What is said behind a verb.
pub struct Words<'a>(HashMap<&'a str, &'a str>);

impl Words<'_> {
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).copied().unwrap_or_default()
    }

    pub fn number(&self, name: &str) -> i64 {
        self.get(name).parse().unwrap_or_default()
    }
}

fn answer(verbs: &Verbs, members: &mut HashMap<String, Member>, verb: &str, words: &Words) -> Result<String, Failure> {
    let member = words.get("member");
    match verb {
        "join" => {
            members.insert(member.to_string(), Member::join(verbs.brokers, words)?);
            Ok(String::new())
        }
        "seen" => Ok(format!(" records={}", members[member].seen())),
        "leave" => {
            members.remove(member).ok_or("no such member")?.leave();
            Ok(String::new())
        }
        _ => verbs.carry_out(verb, words),
    }
}

fn main() -> Result<(), Failure> {
    let brokers = std::env::args().nth(1).ok_or("the server's address is missing")?;
    let verbs = Verbs::new(&brokers)?;
    let mut members = HashMap::new();
    println!("ready release={}", env!("RDKAFKA_RELEASE"));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut said = line.split(' ');
        let (id, verb) = (said.next().unwrap_or_default(), said.next().unwrap_or_default());
        let words = Words(said.filter_map(|word| word.split_once('=')).collect());
        match answer(&verbs, &mut members, verb, &words) {
            Ok(answer) => println!("{id} ok{answer}"),
            Err(failure) => println!("{id} failed {}", failure.to_string().replace('\n', " ")),
        }
    }
    Ok(())
}
