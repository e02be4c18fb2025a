import type { Attack } from "../Attack.ts"
import { hostileConnections, hugeSizes, slowLoris } from "./connections.ts"
import { allowedBombs, decompressionBombs, pipelinedRequests, unreadFetches } from "./kafkaFloods.ts"
import {
  aliasesAndProperties,
  qos2WithoutPubrel,
  retainedFlood,
  sessionFlood,
  subscriptionFlood,
  unreadPings
} from "./mqttFloods.ts"

/** In the order in which they run; what leaves something behind comes last. */
export const attacks: ReadonlyMap<string, Attack> = new Map([
  ["hostile connections", hostileConnections],
  ["one byte a second", slowLoris],
  ["huge sizes", hugeSizes],
  ["unread fetches", unreadFetches],
  ["pipelined requests", pipelinedRequests],
  ["decompression bombs", decompressionBombs],
  ["bombs within the limits", allowedBombs],
  ["unread answers to PINGREQ", unreadPings],
  ["aliases and user properties", aliasesAndProperties],
  ["subscriptions", subscriptionFlood],
  ["QoS 2 without PUBREL", qos2WithoutPubrel],
  ["durable sessions", sessionFlood],
  ["retained messages", retainedFlood]
])
