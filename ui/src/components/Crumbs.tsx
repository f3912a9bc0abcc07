import { usePage, type Crumb } from "../page";

/** The breadcrumbs of a page that is not made again yet. */
export function Crumbs({ crumbs, title }: { crumbs: Crumb[]; title: string }) {
  usePage({ title, crumbs });
  return null;
}
