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
      title: t.profile.change,
      cli: 'prism profile update NAME --region eu-west-1',
      python: python('profiles.update("NAME", region="eu-west-1")'),
      curl: curl('PUT', '/profiles/NAME', { region: 'eu-west-1' }),
    },
    {
      title: t.upkeep.clean,
      cli: 'prism clean',
      python: python('daemon.clean()'),
      curl: curl('POST', '/daemon/clean', {}),
    },
    {
      title: t.upkeep.recover,
      cli: 'prism recover --dry-run',
      python: python('recovery.recover(dry_run=True)'),
      curl: curl('POST', '/recover', { dry_run: true }),
    },
    {
      title: t.limits.set,
      cli: "prism limit set --person '*' --monthly 100",
      python: python('limits.set(person="*", monthly=100)'),
      curl: curl('PUT', '/limits', { person: '*', monthly: 100 }),
    },
    {
      title: t.limits.mine,
      cli: 'prism limit mine',
      python: python('limits.mine()'),
      curl: curl('GET', '/limits/mine'),
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
