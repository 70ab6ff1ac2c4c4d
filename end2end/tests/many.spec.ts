// 10,000 VMs on 500 nodes: the checks of every page.
import { demoOf, everywhere } from "./everywhere";

everywhere(demoOf("--vms", "10000", "--nodes", "500"));
