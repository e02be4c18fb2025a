/** `1 segment`, `0 segments`, `12 segments`. `text`: how the number is written. */
export const counted = (count: number, noun: string, text = String(count)): string =>
  `${text} ${noun}${count === 1 ? "" : "s"}`

const units = ["B", "KiB", "MiB", "GiB", "TiB"]

export const bytesText = (bytes: number): string => {
  const power = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10))
  return power === 0 ? `${bytes} B` : `${(bytes / 1024 ** power).toFixed(1).replace(/\.0$/, "")} ${units[power]}`
}

const durations: ReadonlyArray<readonly [number, string]> = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "m"],
  [1000, "s"],
  [1, "ms"]
]

/** `7d`, `90s`: the largest unit that divides it. */
export const durationText = (ms: number): string => {
  const [size, unit] = durations.find(([each]) => ms >= each && ms % each === 0) ?? [1, "ms"]
  return `${ms / size}${unit}`
}
