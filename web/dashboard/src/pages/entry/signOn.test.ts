import { describe, expect, it } from 'vitest';
import protocol from '../../../../src/oidc.rs?raw';
import routes from '../../../../src/routes/oidc.rs?raw';
import { signOnPath, signOnWord, whyNotSignedOn } from './signOn';

describe('signOn', () => {
  it('reads the word that the node adds to the address', () => {
    expect(signOnWord('#sign-on=no-role')).toBe('no-role');
    for (const hash of ['', '#', '#sign-on=', '#sign-on=<b>', '#vsu_0123_abc', '#x#sign-on=no-role']) expect(signOnWord(hash)).toBeNull();
  });

  it('has a sentence for each word of the node', () => {
    const other = whyNotSignedOn('something new');
    const words = [protocol, routes].flatMap((text) => [...text.matchAll(/=> "([a-z-]+)",/g)].map((match) => match[1]));
    expect(words.length).toBeGreaterThan(8);
    for (const word of words) expect(whyNotSignedOn(word), word).not.toBe(other);
  });

  it('leads back to the page that was asked for', () => {
    expect(signOnPath('/')).toBe('/api/oidc/login');
    expect(signOnPath('/pumps/a%2Fb')).toBe('/api/oidc/login?next=%2Fpumps%2Fa%252Fb');
  });
});
