import { t } from '../strings';
import { curl, type Equivalent, python, quoted } from './equivalents';

/** What the page of a class does. */
export function classOf(project: string): Equivalent[] {
  const [name, text] = [quoted(project), JSON.stringify(project)];
  const list = `/instances?${String(new URLSearchParams({ project }))}`;
  const one = '/instances/WORKSPACE';
  const at = '2027-12-31T17:00:00Z';
  return [
    {
      title: t.classes.status,
      cli: `prism class status ${name}`,
      python: python(`workspaces.list(project=${text})`),
      curl: curl('GET', list),
    },
    {
      title: t.classes.collect,
      cli: `prism class collect ${name} exercise-1.ipynb exercise-1`,
      python: python('files.download("WORKSPACE", "exercise-1.ipynb", "FILE")'),
      curl: curl('GET', `${one}/files/content?path=exercise-1.ipynb`),
    },
    {
      title: t.classes.start,
      cli: `prism start --project ${name}`,
      python: python('workspaces.start("WORKSPACE")'),
      curl: curl('POST', `${one}/start`),
    },
    {
      title: t.classes.stop,
      cli: `prism class stop ${name}`,
      python: python('workspaces.stop("WORKSPACE")'),
      curl: curl('POST', `${one}/stop`),
    },
    {
      title: t.classes.stopAt,
      cli: `prism class stop ${name} --at 17:00`,
      python: python(`workspaces.extend("WORKSPACE", expires_at="${at}")`),
      curl: curl('POST', `${one}/extend`, { expires_at: at }),
    },
    {
      title: t.classes.reset,
      cli: `prism class reset ${name} --all --snapshot SNAPSHOT`,
      python: python('workspaces.rollback("WORKSPACE", "SNAPSHOT", of_another=True)'),
      curl: curl('POST', `${one}/rollback`, { snapshot: 'SNAPSHOT', of_another: true }),
    },
    {
      title: t.classes.add,
      cli: `prism class add ${name} people.csv --template jupyterlab`,
      python: python(`invitations.send(${text}, "ANN@EXAMPLE.ORG")`),
      curl: curl('POST', '/invitations/send', { project_id: project, email: 'ANN@EXAMPLE.ORG' }),
    },
    {
      title: t.classes.end,
      cli: `prism class end ${name}`,
      python: python('workspaces.terminate("WORKSPACE", backup=True)'),
      curl: curl('POST', `${one}/terminate`, { confirm: 'DELETE', backup_ebs: true }),
    },
  ];
}
