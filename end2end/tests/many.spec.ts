// 10,000 VMs on 500 nodes: the same pages say what they say, and hold no more than a page of them.
import { demoOf, everywhere } from "./everywhere";

everywhere(demoOf("--vms", "10000", "--nodes", "500"));
