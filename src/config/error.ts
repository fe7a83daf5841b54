/** A quoted value may be as long as a file. */
const longestMessage = 800;

/** A mistake of the user's: its message quotes the value and the place. The command ends with exit code 2. */
export class ConfigError extends Error {
  override name = "ConfigError";

  constructor(message: string) {
    super(message.length > longestMessage ? `${message.slice(0, longestMessage)}...` : message);
  }
}
