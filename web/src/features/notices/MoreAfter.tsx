import { ApiError } from '../../api/errors';
import { MoreButton } from './MoreButton';

/** The button that requests more, if money or a limit was the reason of a refusal. */
export function MoreAfter({ error, project }: { readonly error: Error; readonly project: string }) {
  if (!(error instanceof ApiError)) return null;
  if (error.code === 'BUDGET_EXCEEDED') return <MoreButton kind="money" project={project} />;
  if (error.code === 'LIMIT_REACHED') return <MoreButton kind="workspaces" />;
  return null;
}
