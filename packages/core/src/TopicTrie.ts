import { parseTopicFilter } from "./TopicFilter.ts"

interface Node<V> {
  readonly parent: Node<V> | undefined
  /** The level that leads here from the parent. */
  readonly level: string
  /** By level; both wildcards are children like any other. Made on first use: most nodes are leaves. */
  children: Map<string, Node<V>> | undefined
  /** By key. */
  entries: Map<string, V> | undefined
}

const makeNode = <V>(parent: Node<V> | undefined, level: string): Node<V> => ({
  parent,
  level,
  children: undefined,
  entries: undefined
})

const isEmpty = <V>(node: Node<V>): boolean => node.children === undefined && node.entries === undefined

const unlimited = { topicBytesMax: Infinity, topicLevelsMax: Infinity }

/**
 * Topic filters by level, for finding all that match a topic. An entry is a (filter, key) pair with a value; a key is
 * whatever tells the filter's holders apart (a session, a stream).
 *
 * Each node has one path to it, so a match visits every node at most once: its cost is bounded by the filters held, and
 * for filters without wildcards by the topic's levels.
 */
export class TopicTrie<V> {
  readonly #root: Node<V> = makeNode<V>(undefined, "")
  #size = 0

  /** The (filter, key) pairs held. */
  get size(): number {
    return this.#size
  }

  /** Adds an entry, or replaces the value of (filter, key). Throws `InvalidTopicFilter`; how long it may be is checked where it comes in. */
  add(filter: string, key: string, value: V): void {
    let node = this.#root
    for (const level of parseTopicFilter(filter, unlimited)) {
      node.children ??= new Map()
      let child = node.children.get(level)
      if (child === undefined) {
        child = makeNode(node, level)
        node.children.set(level, child)
      }
      node = child
    }
    node.entries ??= new Map()
    if (!node.entries.has(key)) this.#size++
    node.entries.set(key, value)
  }

  /** Removes (filter, key) and the nodes that held nothing else; tells whether it was there. */
  remove(filter: string, key: string): boolean {
    let node: Node<V> | undefined = this.#root
    for (const level of filter.split("/")) {
      node = node.children?.get(level)
      if (node === undefined) return false
    }
    if (node.entries === undefined || !node.entries.delete(key)) return false
    this.#size--
    if (node.entries.size === 0) node.entries = undefined
    while (node.parent !== undefined && isEmpty(node)) {
      const parent: Node<V> = node.parent
      parent.children!.delete(node.level)
      if (parent.children!.size === 0) parent.children = undefined
      node = parent
    }
    return true
  }

  /**
   * Visits the entries of every filter that matches the topic, in no promised order: a key with several matching filters
   * is visited once for each. The visitor must not change the trie.
   */
  match(topic: string, visit: (value: V, key: string) => void): void {
    const children = this.#root.children
    if (children === undefined) return
    if (topic.charCodeAt(0) === 0x24) {
      // Neither wildcard matches a first level that begins with $ [MQTT-4.7.2-1].
      const end = topic.indexOf("/")
      const child = children.get(end === -1 ? topic : topic.slice(0, end))
      if (child !== undefined) matchBelow(child, topic, end, visit)
      return
    }
    matchChildren(children, topic, 0, visit)
  }
}

const visitEntries = <V>(node: Node<V>, visit: (value: V, key: string) => void): void => {
  if (node.entries === undefined) return
  for (const [key, value] of node.entries) visit(value, key)
}

const matchChildren = <V>(
  children: Map<string, Node<V>>,
  topic: string,
  start: number,
  visit: (value: V, key: string) => void
): void => {
  const multi = children.get("#")
  if (multi !== undefined) visitEntries(multi, visit)
  const end = topic.indexOf("/", start)
  const level = end === -1 ? topic.slice(start) : topic.slice(start, end)
  const single = children.get("+")
  if (single !== undefined) matchBelow(single, topic, end, visit)
  // A level of a topic is never a wildcard, but a caller's bad topic must not make a node match twice.
  if (level === "+" || level === "#") return
  const exact = children.get(level)
  if (exact !== undefined) matchBelow(exact, topic, end, visit)
}

/** `end` is where the node's own level ends in the topic; -1: it was the last one. */
const matchBelow = <V>(node: Node<V>, topic: string, end: number, visit: (value: V, key: string) => void): void => {
  if (end !== -1) {
    if (node.children !== undefined) matchChildren(node.children, topic, end + 1, visit)
    return
  }
  visitEntries(node, visit)
  const multi = node.children?.get("#")
  if (multi !== undefined) visitEntries(multi, visit)
}
