/** Absolute. Throws when the sources cannot be read. */
export function programFile(root: string, script: string): string;
