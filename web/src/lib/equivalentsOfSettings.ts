import { t } from '../strings';
import { curl, type Equivalent, python } from './equivalents';

/** What the page of settings shows. */
export function settingsOf(): Equivalent[] {
  return [
    {
      title: t.system.daemon,
      cli: 'prism daemon status',
      python: python('daemon.status()'),
      curl: curl('GET', '/daemon/status'),
    },
    {
      title: t.system.findings,
      cli: 'prism doctor --daemon',
      python: python('daemon.doctor()'),
      curl: curl('GET', '/daemon/doctor'),
    },
    {
      title: t.system.profiles,
      cli: 'prism profile list',
      python: python('profiles.list()'),
      curl: curl('GET', '/profiles'),
    },
    {
      title: t.tokens.title,
      cli: 'prism token list',
      python: python('tokens.list()'),
      curl: curl('GET', '/tokens'),
    },
    {
      title: t.tokens.create,
      cli: 'prism token create NAME',
      python: python('tokens.create("NAME").token'),
      curl: curl('POST', '/tokens', { name: 'NAME' }),
    },
  ];
}
