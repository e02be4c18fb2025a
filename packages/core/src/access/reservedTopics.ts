/** First levels of MQTT topic names that have a meaning of their own: no message has such a topic. */
const reserved = /^\$(?:stream|share|queue)(?:\/|$)/
const system = /^\$SYS(?:\/|$)/
/** Where bridges tell whether they are connected. */
const bridgeState = /^\$SYS\/broker\/connection\/[^/]+\/state$/

const dollar = 0x24

/** Whether a topic name, or a filter without its share, is reserved. */
export const isReservedTopic = (topic: string): boolean => topic.charCodeAt(0) === dollar && reserved.test(topic)

/** The server's own topics; those of bridges are not. */
export const isSystemTopic = (topic: string): boolean =>
  topic.charCodeAt(0) === dollar && system.test(topic) && !bridgeState.test(topic)
