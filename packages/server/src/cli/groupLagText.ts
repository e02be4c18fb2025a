/** How far a group is behind, as the API tells it of all partitions together. */
export interface TotalLag {
  readonly lag: number | null
  readonly knownLag: number
  readonly lost: number
  readonly unknownPartitions: number
}

export const lagFields = ["knownLag", "lost", "unknownPartitions"] as const

/** `120`, or `120, 1 partition unknown`. */
export const lagText = ({ knownLag, unknownPartitions }: TotalLag): string =>
  unknownPartitions === 0
    ? String(knownLag)
    : `${knownLag}, ${unknownPartitions} ${unknownPartitions === 1 ? "partition" : "partitions"} unknown`
