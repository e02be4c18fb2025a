import type { Option } from "./commandLine.ts"

export const json: Option = { name: "json", value: undefined, help: "one JSON document instead of text" }
export const url: Option = {
  name: "url",
  value: "URL",
  help: "the server; else LOGBROOK_URL, else http://127.0.0.1:18083"
}
export const mqtt: Option = {
  name: "mqtt",
  value: "HOST:PORT",
  help: "the MQTT listener; else LOGBROOK_MQTT, else port 1883 of LOGBROOK_URL's host, else of 127.0.0.1"
}
export const kafka: Option = {
  name: "kafka",
  value: "HOST:PORT",
  help: "the Kafka listener; else LOGBROOK_KAFKA, else port 9092 of LOGBROOK_URL's host, else of 127.0.0.1"
}
/** For commands that ask a server, whichever of its listeners. */
export const tls: ReadonlyArray<Option> = [
  { name: "tls", value: undefined, help: "over TLS, so that HOST:PORT is an https:// URL; the next ones say so too" },
  {
    name: "ca",
    value: "FILE",
    help: "the authority of the server's certificate in PEM; else those that Node.js knows"
  },
  { name: "cert", value: "FILE", help: "a client certificate in PEM" },
  { name: "cert-key", value: "FILE", help: "its private key; else it is in the file of --cert" },
  { name: "insecure", value: undefined, help: "take any certificate: whoever answers is taken for the server" }
]
export const timeout: Option = {
  name: "timeout",
  value: "DURATION",
  help: "how long the server may leave a question without an answer (10s)"
}
export const offline: Option = {
  name: "data-dir",
  value: "DIR",
  help: "read a data directory instead of asking a server; a running server does not mind"
}

/** For commands that read everything: never from a live server, which would stand still meanwhile. */
export const dataDirectory: Option = {
  name: "data-dir",
  value: "DIR",
  help: "the data directory; else that of LOGBROOK_DATA_DIR or the configuration file, else ./data"
}
