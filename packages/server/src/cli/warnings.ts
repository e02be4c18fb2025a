let listener: (text: string) => void = () => undefined

/** `listens` hears what servers warn of beside their answers, each text once. */
export const hearWarnings = (listens: (text: string) => void): void => {
  const heard = new Set<string>()
  listener = (text) => {
    if (!heard.has(text)) listens(text)
    heard.add(text)
  }
}

export const hear = (text: string): void => listener(text)
