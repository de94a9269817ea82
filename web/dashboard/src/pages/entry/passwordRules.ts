// The node's rules for a new password, as the page shows them. The node checks them, and one more, that only it can: whether the
// password contains the user's name. Pure.

export interface PasswordRule {
  text: string;
  met: boolean;
}

const MIN_CHARS = 12;
const MIN_DIFFERENT = 5;
const MAX_BYTES = 256;

export function passwordRules(password: string): PasswordRule[] {
  const rules = [
    { text: `${MIN_CHARS} characters or more`, met: [...password].length >= MIN_CHARS },
    { text: `${MIN_DIFFERENT} different characters or more`, met: new Set(password.toLowerCase()).size >= MIN_DIFFERENT },
  ];
  const bytes = new TextEncoder().encode(password).length;
  if (bytes > MAX_BYTES) rules.push({ text: `at most ${MAX_BYTES} bytes (it has ${bytes})`, met: false });
  return rules;
}
