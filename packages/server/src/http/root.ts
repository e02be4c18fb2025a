import { version } from "../version.ts"

const links: ReadonlyArray<readonly [path: string, what: string]> = [
  ["/api/v1/cluster", "the server: version, journal, disk"],
  ["/api/v1/streams", "streams with partitions, offsets, sizes"],
  ["/api/v1/groups", "consumer groups with their lag"],
  ["/api/v1/sessions", "MQTT sessions with their connections and queues"],
  ["/api/v1/stream-shares", "groups of MQTT clients that read streams, with their lag"],
  ["/api/v1/retained", "retained messages"],
  ["/api/v1/topics", "topics with what is retained, stored, or goes nowhere"],
  ["/api/v1/journal/events?last=20", "the newest events of the journal"],
  ["/api/v1/mqtt/unmatched-topics", "topics whose messages went nowhere"],
  ["/api/v1/config", "the settings that this server runs with"],
  ["/openapi.json", "every request and reply, as OpenAPI"],
  ["/metrics", "metrics for Prometheus"],
  ["/healthz", "whether the process answers"],
  ["/readyz", "whether it takes writes, and why not"]
]

/** The answer to `GET /` for programs. */
export const rootJson = {
  name: "logbrook",
  version,
  links: Object.fromEntries(links.map(([path, what]) => [path, what]))
}

const rows = links.map(([path, what]) => `<dt><a href="${path}">${path}</a></dt><dd>${what}</dd>`)

const style =
  ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem}" +
  "dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.5rem}dd{margin:0}"

/** And for people. */
export const rootHtml =
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>Logbrook</title><style>${style}</style>` +
  `<h1>Logbrook ${version}</h1><p>An MQTT broker and a Kafka server over the same streams.</p><dl>${rows.join("")}</dl></html>\n`
