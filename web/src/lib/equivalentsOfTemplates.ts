import { t } from '../strings';
import { curl, type Equivalent, python, quoted } from './equivalents';

/** What the page of a template shows. */
export function templateOf(name: string): Equivalent[] {
  const path = `/templates/${encodeURIComponent(name)}`;
  return [
    {
      title: t.templates.about,
      cli: `prism template info ${quoted(name)}`,
      python: python(`templates.info(${JSON.stringify(name)})`),
      curl: curl('GET', `${path}/info`),
    },
    {
      title: t.templates.yaml,
      cli: `prism template info ${quoted(name)} --yaml`,
      python: python(`templates.yaml(${JSON.stringify(name)})`),
      curl: curl('GET', `${path}/yaml`),
    },
  ];
}

/** What the page of templates shows. */
export function templatesOf(): Equivalent[] {
  return [
    {
      title: t.pages.templates,
      cli: 'prism template list',
      python: python('templates.list()'),
      curl: curl('GET', '/templates'),
    },
    {
      title: t.checks.title,
      cli: 'prism template validate',
      python: python('templates.validate()'),
      curl: curl('GET', '/templates/validate'),
    },
  ];
}
