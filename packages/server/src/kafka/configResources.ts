/** Kafka's numbers of what has settings (ConfigResource.Type). */
export const configResources = { topic: 2, broker: 4, brokerLogger: 8, clientMetrics: 16, group: 32 } as const
