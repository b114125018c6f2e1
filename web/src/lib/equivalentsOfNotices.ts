import { t } from '../strings';
import { curl, python, type Equivalent } from './equivalents';

/** What the page of notices does. */
export function noticesOf(): Equivalent[] {
  return [
    {
      title: t.inbox.title,
      cli: 'prism notices list',
      python: python('notices.list()'),
      curl: curl('GET', '/notices'),
    },
    {
      title: t.inbox.readAll,
      cli: 'prism notices read',
      python: python('notices.read()'),
      curl: curl('POST', '/notices/read', {}),
    },
    {
      title: t.requests.title,
      cli: 'prism request list',
      python: python('requests.list()'),
      curl: curl('GET', '/requests'),
    },
    {
      title: t.requests.more,
      cli: 'prism request money 50 --project NAME',
      python: python('requests.money(50, project="NAME")'),
      curl: curl('POST', '/requests', { kind: 'money', usd: 50, project: 'NAME' }),
    },
    {
      title: t.requests.grant,
      cli: 'prism request grant ID',
      python: python('requests.grant("ID")'),
      curl: curl('POST', '/requests/ID/grant'),
    },
    {
      title: t.requests.refuse,
      cli: 'prism request refuse ID --reason "not this year"',
      python: python('requests.refuse("ID", reason="not this year")'),
      curl: curl('POST', '/requests/ID/refuse', { reason: 'not this year' }),
    },
  ];
}
