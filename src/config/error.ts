/** A mistake of the user's: its message quotes the value and the place. The command ends with exit code 2. */
export class ConfigError extends Error {
  override name = "ConfigError";
}
