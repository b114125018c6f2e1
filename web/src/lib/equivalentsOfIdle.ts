import { texts } from '../features/idle/texts';
import { t } from '../strings';
import { curl, type Equivalent, python } from './equivalents';

/** What the page of idleness shows. */
export function idleOf(): Equivalent[] {
  return [
    {
      title: t.idle.profiles,
      cli: 'prism idle profile list',
      python: python('idle.profiles()'),
      curl: curl('GET', '/idle/profiles'),
    },
    {
      title: texts.add,
      cli: 'prism idle profile create NAME --minutes 30 --then hibernate',
      python: `from prism.idle.model import NewIdleProfile; ${python(
        'idle.create_profile(NewIdleProfile(name="NAME", idle_threshold_minutes=30, action="hibernate"))',
      )}`,
      curl: curl('POST', '/idle/profiles', {
        name: 'NAME',
        idle_threshold_minutes: 30,
        action: 'hibernate',
      }),
    },
    {
      title: texts.removeTitle('NAME'),
      cli: 'prism idle profile delete NAME',
      python: python('idle.delete_profile("NAME")'),
      curl: curl('DELETE', '/idle/profiles/NAME'),
    },
    {
      title: t.idle.history,
      cli: 'prism idle history',
      python: python('idle.history()'),
      curl: curl('GET', '/idle/history'),
    },
    {
      title: t.idle.day,
      cli: 'prism idle activity NAME',
      python: python('idle.activity("NAME")'),
      curl: curl('GET', '/idle/instances/NAME/activity'),
    },
  ];
}
